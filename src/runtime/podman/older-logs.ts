import { open, type FileHandle } from "node:fs/promises";
import { systemCodeOf } from "../../lib/errors.ts";
import { KEPT_PARTS } from "./kept-logs.ts";
import { parseLogRecord, RECORD_BYTES_MAX } from "./k8s-log.ts";
import { tailOffset } from "./log-tail.ts";

const READ_BYTES = 64 * 1024;
const NEWLINE = 10;

/** A part of a log that was rotated out, from where it is wanted. */
export interface OlderPart {
  path: string;
  offset: number;
}

/**
 * The parts of a log that come before its file, the oldest first, as far as they are wanted.
 * @param tail only as many as make the last so many lines with those of the file
 */
export async function olderParts(path: string, tail: number | undefined): Promise<OlderPart[]> {
  let missing = tail === undefined ? Infinity : tail - (await countLines(path, tail));
  const parts: OlderPart[] = [];
  for (const name of KEPT_PARTS) {
    if (missing <= 0) break;
    const part = `${path}${name}`;
    const offset = await within(part, async (file) => {
      const { size } = await file.stat();
      return missing === Infinity ? 0 : tailOffset(file, size, missing);
    });
    if (offset === undefined) break;
    parts.unshift({ path: part, offset });
    if (offset > 0) break;
    missing -= await countLines(part, missing);
  }
  return parts;
}

/** How many lines a log file has, as far as that matters. */
async function countLines(path: string, most: number): Promise<number> {
  const counted = await within(path, async (file) => {
    const buffer = Buffer.alloc(READ_BYTES + RECORD_BYTES_MAX);
    let [lines, held, at] = [0, 0, 0];
    while (lines < most) {
      const { bytesRead } = await file.read(buffer, held, READ_BYTES, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      const end = held + bytesRead;
      let from = 0;
      for (
        let to = indexOfBreak(buffer, from, end);
        to >= 0;
        to = indexOfBreak(buffer, from, end)
      ) {
        const record = parseLogRecord(buffer, from, to);
        if (record !== undefined && !record.partial) lines += 1;
        from = to + 1;
      }
      // The beginning of a record; what is longer than any is none.
      held = Math.min(end - from, RECORD_BYTES_MAX);
      buffer.copy(buffer, 0, end - held, end);
    }
    return lines;
  });
  return counted ?? 0;
}

function indexOfBreak(buffer: Buffer, from: number, end: number): number {
  const found = buffer.indexOf(NEWLINE, from);
  return found < end ? found : -1;
}

/** Undefined where there is no such file. */
async function within<T>(
  path: string,
  look: (file: FileHandle) => Promise<T>,
): Promise<T | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    return await look(file);
  } finally {
    await file.close();
  }
}
