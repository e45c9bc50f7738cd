import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { ArchiveTail } from "../../core/archive/archive-tail.ts";
import type { Contents } from "../../core/archive/seal.ts";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { pathFrom, usageError } from "../context.ts";
import type { Io } from "../io.ts";

const WRITE_BEHIND_BYTES = 32 * 1024 * 1024;
/** Larger ones take the kernel several times as long while it brings earlier ones to the disk. */
const WRITE_BYTES = 64 * 1024;
const fdatasync = promisify(fs.fdatasync);

/** Watches an archive that passes by, and tells what it was when it was whole. */
export interface ArchiveCheck<T> {
  push(bytes: Uint8Array): void;
  /** Undefined when it was not whole. */
  finish(): T | undefined;
}

/**
 * Saves one of orchd's own archives, see `saveChecked`.
 * @returns what the archive says of itself
 */
export function saveArchive(
  io: Io,
  file: string,
  stream: AsyncIterable<Uint8Array>,
  onBytes?: (bytes: number) => Promise<void> | void,
): Promise<Contents> {
  return saveChecked(io, file, { stream, check: new ArchiveTail(), onBytes });
}

/**
 * Saves an archive as it comes, for its owner's eyes alone, and in its place only when all of it
 * came. `-` is standard output, where whoever reads has to look at the exit code. Each piece of the
 * stream need only be good until the next one is asked for.
 * @throws OrchdError `damaged` when it is not whole
 */
export async function saveChecked<T>(
  io: Io,
  file: string,
  {
    stream,
    check,
    onBytes = () => {},
  }: {
    stream: AsyncIterable<Uint8Array>;
    check: ArchiveCheck<T>;
    /** Hears of each piece. */
    onBytes?: ((bytes: number) => Promise<void> | void) | undefined;
  },
): Promise<T> {
  const target = file === "-" ? standardOutput(io) : draftOf(pathFrom(io, file));
  try {
    for await (const bytes of stream) {
      check.push(bytes);
      await target.write(bytes);
      await onBytes(bytes.length);
    }
    const contents = check.finish();
    if (contents === undefined) {
      const message = "what came is not the whole archive: try again";
      throw new OrchdError("damaged", message, { retryable: true });
    }
    await target.complete();
    return contents;
  } catch (error) {
    await target.discard();
    throw error;
  }
}

interface Target {
  write(bytes: Uint8Array): Promise<void> | void;
  complete(): Promise<void> | void;
  discard(): Promise<void> | void;
}

function standardOutput(io: Io): Target {
  if (io.stdout.isTerminal) {
    throw usageError("standard output is a terminal: send it to a file, or name one");
  }
  return {
    write: (bytes) => io.stdout.write(bytes.slice()),
    complete: () => {},
    discard: () => {},
  };
}

function draftOf(path: string): Target {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}`);
  const descriptor = attempt(path, () => fs.openSync(draft, "wx", 0o600));
  const behind = new WriteBehind(descriptor);
  let isOpen = true;
  const close = () => {
    if (isOpen) fs.closeSync(descriptor);
    isOpen = false;
  };
  return {
    write: (bytes) =>
      attempt(path, () => {
        for (let at = 0; at < bytes.length;) {
          const length = Math.min(WRITE_BYTES, bytes.length - at);
          at += fs.writeSync(descriptor, bytes, at, length);
        }
        behind.note(bytes.length);
      }),
    async complete() {
      const failure = await behind.settled();
      attempt(path, () => {
        if (failure !== undefined) throw failure;
        fs.fsyncSync(descriptor);
        close();
        fs.renameSync(draft, path);
      });
    },
    async discard() {
      await behind.settled();
      close();
      fs.rmSync(draft, { force: true });
    },
  };
}

/** Has the disk write while more comes, which otherwise would begin when all has come. */
class WriteBehind {
  readonly #descriptor: number;
  #unwritten = 0;
  #writing: Promise<void> | undefined;
  /** A disk tells of it once: who asks later is told that all is well. */
  #failure: Error | undefined;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  note(bytes: number): void {
    this.#unwritten += bytes;
    if (this.#unwritten < WRITE_BEHIND_BYTES || this.#writing !== undefined) return;
    this.#unwritten = 0;
    this.#writing = fdatasync(this.#descriptor)
      .catch((error: Error) => void (this.#failure ??= error))
      .finally(() => (this.#writing = undefined));
  }

  /** Resolves when nothing of it is under way, with what went wrong. */
  async settled(): Promise<Error | undefined> {
    await this.#writing;
    return this.#failure;
  }
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOSPC") {
      throw new OrchdError("noSpace", `the disk is full: make room for ${path}`, { cause });
    }
    throw new OrchdError("invalid", `${path} can't be written`, { cause });
  }
}
