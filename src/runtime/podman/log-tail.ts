import { parseLogRecord, RECORD_BYTES_MAX } from "./k8s-log.ts";

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 10;

/** As much of a `FileHandle` as is needed. */
export interface ReadableFile {
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }>;
}

/**
 * Where the last `count` lines of a container's log begin: read backwards from the end, block by
 * block, as far as needed. A line's parts (`P`) stand before its end (`F`) and come with it; a
 * record that is still being written does not count.
 */
export async function tailOffset(file: ReadableFile, size: number, count: number): Promise<number> {
  if (count <= 0) return size;
  const buffer = Buffer.alloc(BLOCK_BYTES + RECORD_BYTES_MAX);
  let left = count;
  /** The line break that ends the record whose beginning is looked for. */
  let end: number | undefined;
  for (let position = size; position > 0;) {
    const length = Math.min(BLOCK_BYTES, position);
    position -= length;
    const { bytesRead } = await file.read(buffer, 0, length + RECORD_BYTES_MAX, position);
    const isFull = (from: number) => {
      const record = parseLogRecord(buffer, from, Math.min(bytesRead, (end ?? 0) - position));
      return record !== undefined && !record.partial;
    };
    const breaks = buffer.subarray(0, Math.min(length, bytesRead));
    for (let i = breaks.lastIndexOf(NEWLINE); i >= 0; i = lastBefore(breaks, i)) {
      if (end !== undefined && isFull(i + 1) && left-- === 0) return end + 1;
      end = position + i;
    }
    if (position === 0 && end !== undefined && isFull(0) && left === 0) return end + 1;
  }
  return 0;
}

function lastBefore(buffer: Uint8Array, at: number): number {
  return at === 0 ? -1 : buffer.lastIndexOf(NEWLINE, at - 1);
}
