import { existsSync, watch, type FSWatcher } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { LogLine, LogOptions } from "../../model/session.ts";
import { LogAssembler } from "./k8s-log.ts";
import { tailOffset } from "./log-tail.ts";
import { olderParts, type OlderPart } from "./older-logs.ts";

const READ_BYTES = 64 * 1024;
/** How often a file that is not there yet is looked for. */
const LOOK_AGAIN_MS = 200;

export interface LogSource {
  /** The container's k8s-file log; it need not exist yet. */
  path: string;
  /** Resolves when the container has ended, or is gone; never rejects. */
  ended(signal: AbortSignal): Promise<void>;
}

/**
 * The lines of a container's log file: those that are there, and with `follow` those to come, until
 * the container has ended and everything was read. It reads the file itself, because Podman leaks
 * a descriptor per followed log. Survives that conmon begins a new file when one is full.
 */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const assembler = new LogAssembler(options.since);
  let changes: Changes | undefined;
  const file = new LogFile(source.path, () => changes?.watchFile());
  try {
    for (const part of await olderParts(source.path, options.tail)) {
      yield* readPart(part, assembler, signal);
    }
    if (!options.follow) {
      await file.begin(options.tail);
      yield* file.readAll(assembler, signal);
      yield* assembler.flush();
      return;
    }
    changes = new Changes(source.path, signal);
    const { signal: over } = changes;
    const notify = () => changes?.notify();
    try {
      await file.begin(options.tail);
      while (!file.isOpen && !signal.aborted) {
        if (!existsSync(dirname(source.path))) return;
        await changes.next(LOOK_AGAIN_MS);
        await file.begin(undefined);
      }
      let ended = false;
      void source.ended(over).then(() => {
        ended = true;
        notify();
      });
      for (;;) {
        const last = ended;
        yield* file.readAll(assembler, signal);
        if (last || signal.aborted) break;
        await changes.next();
      }
      yield* assembler.flush();
    } finally {
      changes.close();
    }
  } finally {
    await file.close();
  }
}

/** All of a part that nobody writes any more; one that was removed meanwhile has nothing. */
async function* readPart(
  { path, offset }: OlderPart,
  assembler: LogAssembler,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const file = new LogFile(path);
  try {
    await file.beginAt(offset);
    yield* file.readAll(assembler, signal);
  } finally {
    await file.close();
  }
}

/** A log file that may be replaced by a new one, or cut short, at any moment. */
class LogFile {
  readonly #path: string;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  readonly #onOpen: () => void;
  #file: FileHandle | undefined;
  #inode = 0;
  #offset = 0;

  /** @param onOpen called each time that a file was opened, before it is read */
  constructor(path: string, onOpen: () => void = () => {}) {
    this.#path = path;
    this.#onOpen = onOpen;
  }

  get isOpen(): boolean {
    return this.#file !== undefined;
  }

  /** Opens the file where the last `tail` lines begin. */
  async begin(tail: number | undefined): Promise<void> {
    await this.#open();
    if (this.#file === undefined || tail === undefined) return;
    this.#offset = await tailOffset(this.#file, (await this.#file.stat()).size, tail);
  }

  /** Opens the file at a place in it. */
  async beginAt(offset: number): Promise<void> {
    await this.#open();
    this.#offset = offset;
  }

  /** All lines up to the present end, in whichever file that is. */
  async *readAll(assembler: LogAssembler, signal: AbortSignal): AsyncGenerator<LogLine> {
    if (this.#file === undefined) await this.#open();
    while (this.#file !== undefined && !signal.aborted) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, READ_BYTES, this.#offset);
      this.#offset += bytesRead;
      if (bytesRead > 0) yield* assembler.push(this.#buffer.subarray(0, bytesRead));
      else if (!(await this.#followReplacement())) return;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  /** At the end of the file: whether there is another to go on with. */
  async #followReplacement(): Promise<boolean> {
    const now = await statOf(this.#path);
    if (now === undefined) return false;
    if (now.ino === this.#inode && now.size >= this.#offset) return false;
    await this.close();
    await this.#open();
    return true;
  }

  async #open(): Promise<void> {
    try {
      this.#file = await open(this.#path, "r");
    } catch (error) {
      // No file before the container's first start, and none after it was removed.
      if (systemCodeOf(error) === "ENOENT") return;
      throw new OrchdError("runtime", `the log ${this.#path} can't be read`, { cause: error });
    }
    this.#inode = (await this.#file.stat()).ino;
    this.#offset = 0;
    this.#onOpen();
  }
}

/**
 * Tells when a file may have changed: watches its directory, which outlives each of its files, and
 * the file itself. Bun begins to watch a directory some time after it was told to (a file at once),
 * and what is written in between is told by the file alone.
 */
class Changes {
  readonly #path: string;
  readonly #watcher: FSWatcher;
  #ofFile: FSWatcher | undefined;
  readonly #giveUp = new AbortController();
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(path: string, signal: AbortSignal) {
    this.#path = path;
    const name = basename(path);
    const directory = dirname(path);
    try {
      this.#watcher = watch(directory, (_event, changed) => {
        if (changed === null || changed === name || !existsSync(directory)) this.notify();
      });
    } catch (error) {
      const message = "the log can't be followed; is fs.inotify.max_user_watches too low?";
      throw new OrchdError("runtime", message, { cause: error });
    }
    // The directory goes with its container: whoever reads looks, and ends.
    this.#watcher.on("error", () => this.notify());
    signal.addEventListener("abort", () => this.close(), { signal: this.#giveUp.signal });
    if (signal.aborted) this.close();
  }

  /** Aborts when nobody waits any more. */
  get signal(): AbortSignal {
    return this.#giveUp.signal;
  }

  notify(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Watches the file that has the name now, in place of the one before. */
  watchFile(): void {
    this.#ofFile?.close();
    try {
      this.#ofFile = watch(this.#path, () => this.notify());
      this.#ofFile.on("error", () => this.notify());
    } catch (error) {
      // It was replaced again: its directory tells.
      if (systemCodeOf(error) !== "ENOENT") throw error;
    }
  }

  /** Resolves with the next change, or when so much time has passed. */
  async next(withinMs?: number): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        const timer = withinMs === undefined ? undefined : setTimeout(resolve, withinMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = undefined;
    this.#changed = false;
  }

  close(): void {
    this.#giveUp.abort();
    this.#watcher.close();
    this.#ofFile?.close();
    this.notify();
  }
}

async function statOf(path: string): Promise<{ ino: number; size: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    // Between two files, or removed with its container.
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
