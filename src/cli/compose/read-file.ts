import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { formatBytes } from "../../lib/text.ts";
import { messageOf, systemCodeOf } from "../../lib/errors.ts";

/** No Compose file and nothing that one names is larger. */
export const FILE_BYTES_MAX = 1024 * 1024;

export type ReadFile = { ok: true; text: string } | Unread;
interface Unread {
  ok: false;
  reason: "missing" | "unreadable" | "too-large" | "not-a-file";
  message: string;
}

/** Reads a text file that a person or a Compose file names; never waits, never reads on and on. */
export function readTextFile(path: string): ReadFile {
  let descriptor: number | undefined;
  try {
    // Before it is opened: opening a device can do something, and opening a pipe can wait.
    const unfit = whyUnfit(statSync(path));
    if (unfit !== undefined) return unfit;
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    // It may be another file by now.
    return whyUnfit(fstatSync(descriptor)) ?? readText(descriptor);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") {
      return { ok: false, reason: "missing", message: "there is no such file" };
    }
    const why = code === "EACCES" ? "permission denied" : messageOf(error);
    return { ok: false, reason: "unreadable", message: `it can't be read: ${why}` };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function whyUnfit(stats: Stats): ReadFile | undefined {
  const refuse = (message: string): ReadFile => ({ ok: false, reason: "not-a-file", message });
  if (stats.isDirectory()) return refuse("it is a directory");
  if (stats.isFIFO()) return refuse("it is a pipe: use `-f -` and standard input instead");
  if (!stats.isFile()) return refuse("it is a device or socket, not a file");
  return stats.size > FILE_BYTES_MAX ? tooLarge() : undefined;
}

function tooLarge(): ReadFile {
  const message = `it is larger than ${formatBytes(FILE_BYTES_MAX)}`;
  return { ok: false, reason: "too-large", message };
}

function readText(descriptor: number): ReadFile {
  // Files of the kernel have size 0 and content all the same, so the size says nothing.
  const buffer = new Uint8Array(FILE_BYTES_MAX + 1);
  let length = 0;
  while (length < buffer.length) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) break;
    length += count;
  }
  return length > FILE_BYTES_MAX ? tooLarge() : decode(buffer.subarray(0, length));
}

function decode(bytes: Uint8Array): ReadFile {
  try {
    return { ok: true, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    // The decoder's own message names no cause that a person knows.
    return { ok: false, reason: "unreadable", message: "it is not UTF-8 text" };
  }
}

/** The whole of a stream as text, bounded like a file. */
export async function readTextStream(stream: ReadableStream<Uint8Array>): Promise<ReadFile> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > FILE_BYTES_MAX) return tooLarge();
    chunks.push(chunk);
  }
  return decode(Buffer.concat(chunks));
}
