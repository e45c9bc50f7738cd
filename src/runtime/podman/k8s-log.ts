import { z } from "zod";
import type { LogLine } from "../../model/session.ts";

/**
 * A record of a container's log, one a line. conmon's k8s-file format is
 * `2026-01-31T12:00:00.123456789+00:00 stdout F text`;
 * `P` instead of `F` marks a part whose line goes on in the stream's next record. Docker's
 * json-file format is `{"log":"text\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}`,
 * where a part has no line break at its end.
 */
export interface LogRecord {
  at: number;
  stream: "stdout" | "stderr";
  partial: boolean;
  /** May share memory with the buffer that was parsed. */
  text: Buffer;
}

/** A longer line is handed on in parts of about this size. */
export const LINE_BYTES_MAX = 16 * 1024;
/** No record is longer: in JSON a byte may take six. */
export const RECORD_BYTES_MAX = 7 * LINE_BYTES_MAX;

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const HEADER_BYTES_MAX = 64;
const OBJECT = "{".charCodeAt(0);

const jsonRecordSchema = z.object({
  log: z.string(),
  stream: z.enum(["stdout", "stderr"]),
  time: z.string(),
});

/** The record in `[from, to)` of a buffer, without its line break; undefined when it is none. */
export function parseLogRecord(buffer: Buffer, from: number, to: number): LogRecord | undefined {
  if (buffer[from] === OBJECT) return parseJsonRecord(buffer.toString("utf8", from, to));
  const header = buffer.toString("latin1", from, Math.min(to, from + HEADER_BYTES_MAX));
  const match = header.match(/^(\S+) (stdout|stderr) ([FP])(?: |$)/);
  if (match === null) return undefined;
  const [whole, time = "", stream, tag] = match;
  const at = Date.parse(time);
  if (Number.isNaN(at)) return undefined;
  return {
    at,
    stream: stream === "stderr" ? "stderr" : "stdout",
    partial: tag === "P",
    text: buffer.subarray(from + whole.length, to),
  };
}

function parseJsonRecord(line: string): LogRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Cut off by a machine that lost its power.
    return undefined;
  }
  const parsed = jsonRecordSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { log, stream, time } = parsed.data;
  const at = Date.parse(time);
  if (Number.isNaN(at)) return undefined;
  const partial = !log.endsWith("\n");
  return { at, stream, partial, text: Buffer.from(partial ? log : log.slice(0, -1)) };
}

/** Puts the bytes of a log file together to lines, in bounded memory. */
export class LogAssembler {
  readonly #since: number;
  /** What is left of the last piece: the beginning of a record. */
  #rest: Buffer = Buffer.alloc(0);
  readonly #open = { stdout: openLine(), stderr: openLine() };

  /** @param since lines from before this time are left out */
  constructor(since = 0) {
    this.#since = since;
  }

  /** The lines that end within `chunk`. */
  push(chunk: Buffer): LogLine[] {
    const buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const lines: LogLine[] = [];
    let from = 0;
    for (let to = buffer.indexOf(NEWLINE); to >= 0; to = buffer.indexOf(NEWLINE, from)) {
      const record = parseLogRecord(buffer, from, to);
      if (record !== undefined) this.#add(record, lines);
      from = to + 1;
    }
    // A record is never so long: what claims to be one is damage, and is skipped.
    const rest = buffer.subarray(from);
    this.#rest = rest.length > RECORD_BYTES_MAX ? Buffer.alloc(0) : Buffer.from(rest);
    return lines;
  }

  /** What was begun and never ended with a line break: a prompt, or a program's last word. */
  flush(): LogLine[] {
    const lines: LogLine[] = [];
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#open[stream].bytes > 0) this.#end(stream, lines);
    }
    return lines;
  }

  #add(record: LogRecord, lines: LogLine[]): void {
    const open = this.#open[record.stream];
    if (open.bytes === 0) open.at = record.at;
    // Copied: the buffer is the reader's own and may be used again.
    open.parts.push(Buffer.from(record.text));
    open.bytes += record.text.length;
    if (!record.partial || open.bytes >= LINE_BYTES_MAX) this.#end(record.stream, lines);
  }

  #end(stream: "stdout" | "stderr", lines: LogLine[]): void {
    const { at, parts } = this.#open[stream];
    this.#open[stream] = openLine();
    if (at < this.#since) return;
    const bytes = Buffer.concat(parts);
    // A terminal ends its lines with both.
    const length = bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length;
    lines.push({ at, stream, text: bytes.toString("utf8", 0, length) });
  }
}

function openLine(): { at: number; parts: Buffer[]; bytes: number } {
  return { at: 0, parts: [], bytes: 0 };
}
