import * as fs from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { systemCodeOf } from "../../lib/errors.ts";
import type { TaskId } from "../../model/ids.ts";
import { KEPT_PARTS } from "../podman/kept-logs.ts";
import { LINE_BYTES_MAX } from "../podman/k8s-log.ts";
import type { PunchHole } from "./libc.ts";

/** As with Podman; then a new file is begun. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
/** So much that was taken over is given back to the disk at once. */
const PUNCH_BYTES = 1024 * 1024;
const NEWLINE = 10;
const STREAMS = ["stdout", "stderr"] as const;
/** Changes of a file may go unnoticed on a busy machine: it is looked at now and then anyway. */
const LOOK_MS = 5_000;

/** Where the log of a container is, as `readLog` takes it. */
export function logPathOf(directory: string): string {
  return join(directory, "log");
}

/** Where its two outputs go, as containerd's shim takes them: files that are there already. */
export function outputPathsOf(directory: string): { stdout: string; stderr: string } {
  return { stdout: join(directory, "stdout"), stderr: join(directory, "stderr") };
}

/** Before the start: the shim opens what is there, and makes nothing. */
export function makeOutputs(directory: string): void {
  for (const stream of STREAMS) fs.closeSync(fs.openSync(join(directory, stream), "a", 0o600));
}

export interface LogKeeperOptions {
  clock: Clock;
  punchHole: PunchHole;
}

/**
 * Makes logs of what containers print. containerd's shims write plain output into two files, with
 * no process of ours in the way; what comes there is taken over, line by line with the time, into
 * a log as conmon writes it. While orchd is away the files grow, and nothing is lost.
 */
export class LogKeeper {
  readonly #options: LogKeeperOptions;
  readonly #kept = new Map<TaskId, KeptLog>();

  constructor(options: LogKeeperOptions) {
    this.#options = options;
  }

  follow(taskId: TaskId, directory: string): void {
    if (this.#kept.has(taskId)) return;
    this.#kept.set(taskId, new KeptLog(directory, this.#options));
  }

  /** After the last output: takes over the rest. */
  finish(taskId: TaskId, directory: string): void {
    const kept = this.#kept.get(taskId) ?? new KeptLog(directory, this.#options);
    this.#kept.delete(taskId);
    kept.takeAll();
    kept.close();
  }

  forget(taskId: TaskId): void {
    this.#kept.get(taskId)?.close();
    this.#kept.delete(taskId);
  }

  close(): void {
    for (const kept of this.#kept.values()) kept.close();
    this.#kept.clear();
  }
}

class KeptLog {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #outputs: Output[];
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #watcher: fs.FSWatcher | undefined;
  #closed = false;
  #timer: { cancel(): void } | undefined;

  constructor(directory: string, { clock, punchHole }: LogKeeperOptions) {
    this.#directory = directory;
    this.#clock = clock;
    this.#outputs = STREAMS.map((stream) => new Output(directory, stream, punchHole));
    try {
      this.#watcher = fs.watch(directory, (_event, name) => {
        if (name === "stdout" || name === "stderr") this.#look();
      });
      this.#watcher.on("error", () => this.#look());
    } catch {
      // No more watches to be had, or no directory: looking now and then does.
    }
    this.#look();
  }

  takeAll(): void {
    for (const output of this.#outputs) while (this.#take(output));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watcher?.close();
    for (const output of this.#outputs) output.close();
  }

  /** Takes what is there, in turns with whatever else is to be done. */
  #look(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    const more = this.#outputs.map((output) => this.#take(output)).includes(true);
    this.#timer = this.#clock.after(more ? 0 : LOOK_MS, () => this.#look());
  }

  /** A piece of an output into the log; answers whether there may be more. */
  #take(output: Output): boolean {
    const piece = output.read(this.#buffer);
    if (piece.length === 0) return false;
    const at = new Date(this.#clock.now()).toISOString();
    appendLog(logPathOf(this.#directory), recordsOf(piece, at, output.stream));
    output.advance(piece.length);
    return true;
  }
}

/** One of the two outputs, and how much of it is taken over. */
class Output {
  readonly stream: "stdout" | "stderr";
  readonly #path: string;
  readonly #placePath: string;
  readonly #punchHole: PunchHole;
  #file: number | undefined;
  #offset = 0;
  #punched = 0;

  constructor(directory: string, stream: "stdout" | "stderr", punchHole: PunchHole) {
    this.stream = stream;
    this.#punchHole = punchHole;
    this.#path = join(directory, stream);
    this.#placePath = `${this.#path}.taken`;
  }

  read(buffer: Buffer): Buffer {
    this.#open();
    if (this.#file === undefined) return buffer.subarray(0, 0);
    return buffer.subarray(0, fs.readSync(this.#file, buffer, 0, READ_BYTES, this.#offset));
  }

  advance(bytes: number): void {
    this.#offset += bytes;
    try {
      fs.writeFileSync(this.#placePath, String(this.#offset));
    } catch (error) {
      // The container was removed meanwhile.
      if (systemCodeOf(error) !== "ENOENT") throw error;
    }
    if (this.#file === undefined || this.#offset - this.#punched < PUNCH_BYTES) return;
    const from = this.#punched;
    this.#punched = this.#offset;
    // Where the file system can't, the file stays as long as its container.
    this.#punchHole(this.#file, from, this.#offset - from);
  }

  close(): void {
    if (this.#file !== undefined) fs.closeSync(this.#file);
    this.#file = undefined;
  }

  #open(): void {
    if (this.#file !== undefined) return;
    try {
      this.#file = fs.openSync(this.#path, "r+");
    } catch (error) {
      // Not there before the first start.
      if (systemCodeOf(error) === "ENOENT") return;
      throw error;
    }
    const taken = fs.existsSync(this.#placePath) ? fs.readFileSync(this.#placePath, "utf8") : "0";
    // A place that makes no sense was lost with the machine's power: what came before is old.
    this.#offset = /^\d+$/.test(taken) ? Number(taken) : fs.fstatSync(this.#file).size;
    this.#punched = Math.floor(this.#offset / PUNCH_BYTES) * PUNCH_BYTES;
  }
}

/** Records of the k8s-file format; what has no line break yet is marked as a part. */
export function recordsOf(piece: Buffer, at: string, stream: string): Buffer {
  const parts: (Buffer | string)[] = [];
  for (let from = 0; from < piece.length;) {
    const end = piece.indexOf(NEWLINE, from);
    const isWhole = end >= 0 && end - from <= LINE_BYTES_MAX;
    const to = isWhole ? end : Math.min(from + LINE_BYTES_MAX, end < 0 ? piece.length : end);
    parts.push(`${at} ${stream} ${isWhole ? "F" : "P"} `, piece.subarray(from, to), "\n");
    from = isWhole ? end + 1 : to;
  }
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
}

/** Writes on; a log that is full becomes the latest of the two parts that are kept. */
function appendLog(path: string, records: Buffer): void {
  const { size = 0 } = fs.statSync(path, { throwIfNoEntry: false }) ?? {};
  if (size > 0 && size + records.length > LOG_BYTES_MAX) {
    const [latest, oldest] = KEPT_PARTS;
    if (fs.existsSync(`${path}${latest}`)) fs.renameSync(`${path}${latest}`, `${path}${oldest}`);
    fs.renameSync(path, `${path}${latest}`);
  }
  try {
    fs.appendFileSync(path, records, { mode: 0o600 });
  } catch (error) {
    // The container was removed meanwhile.
    if (systemCodeOf(error) !== "ENOENT") throw error;
  }
}
