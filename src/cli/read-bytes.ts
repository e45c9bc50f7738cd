import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { CONTENT_BYTES_MAX } from "../model/item.ts";
import { pathFrom, usageError } from "./context.ts";
import type { Io } from "./io.ts";

/** More than any content may have: what is longer is read no further. */
const BYTES_MAX = CONTENT_BYTES_MAX.config;

export type ReadBytes =
  | { ok: true; bytes: Uint8Array }
  | { ok: false; reason: "missing" | "unreadable" | "too-large" | "not-a-file"; message: string };

/** The bytes of a content, from a file or, for `-`, standard input. */
export async function readContent(io: Io, file: string): Promise<Uint8Array> {
  if (file === "-") return readStandardInput(io);
  // A pipe is a way to hand over a secret that is on no disk: `<(pass show db)`.
  const read = readFileBytes(pathFrom(io, file), { mayWait: true });
  if (read.ok) return read.bytes;
  throw new OrchdError("invalid", `can't read ${file}: ${read.message}`);
}

/**
 * Reads a file whole, whatever it holds; never more than a content may have.
 * @param options.mayWait whether it may be a pipe, whose writer has to come
 */
export function readFileBytes(path: string, options: { mayWait: boolean }): ReadBytes {
  let descriptor: number | undefined;
  try {
    // Before it is opened: opening a device can do something, and opening a pipe can wait.
    const unfit = whyUnfit(statSync(path), options.mayWait);
    if (unfit !== undefined) return unfit;
    const wait = options.mayWait ? 0 : constants.O_NONBLOCK;
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOCTTY | wait);
    // It may be another file by now.
    const other = whyUnfit(fstatSync(descriptor), options.mayWait);
    if (other !== undefined) return other;
    const buffer = new Uint8Array(BYTES_MAX + 1);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
    }
    return length > BYTES_MAX ? tooLarge() : { ok: true, bytes: buffer.slice(0, length) };
  } catch (error) {
    return classify(error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function whyUnfit(stats: Stats, mayWait: boolean): ReadBytes | undefined {
  if (stats.isFile() || (mayWait && stats.isFIFO())) return undefined;
  const what = stats.isDirectory() ? "a directory" : "a pipe, device or socket";
  return { ok: false, reason: "not-a-file", message: `it is ${what}, not a file` };
}

function classify(error: unknown): ReadBytes {
  const code = systemCodeOf(error);
  if (code === undefined) throw error;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return { ok: false, reason: "missing", message: "there is no such file" };
  }
  const why = code === "EACCES" ? "permission denied" : code;
  return { ok: false, reason: "unreadable", message: `it can't be read: ${why}` };
}

function tooLarge(): Extract<ReadBytes, { ok: false }> {
  const message = `it is larger than ${BYTES_MAX / 1024} KiB`;
  return { ok: false, reason: "too-large", message };
}

async function readStandardInput(io: Io): Promise<Uint8Array> {
  if (io.stdin.isTerminal) {
    throw usageError("standard input is a terminal: pipe the content into it, or name a file");
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of io.stdin.read()) {
    length += chunk.length;
    if (length > BYTES_MAX) {
      throw new OrchdError("tooLarge", `can't take standard input: ${tooLarge().message}`);
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
