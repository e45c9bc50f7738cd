import type { LogLine } from "../../model/session.ts";

/**
 * The k8s-file log format of conmon, one record a line:
 * `2026-01-31T12:00:00.123456789+00:00 stdout F text`;
 * `P` instead of `F` marks a part whose line goes on in the stream's next record.
 */
export interface LogRecord {
  at: number;
  stream: "stdout" | "stderr";
  partial: boolean;
  /** The text's place in the buffer that was parsed. */
  from: number;
  to: number;
}

/** A longer line is handed on in parts of about this size. */
export const LINE_BYTES_MAX = 16 * 1024;

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const HEADER_BYTES_MAX = 64;

/** The record in `[from, to)` of a buffer, without its line break; undefined when it is none. */
export function parseLogRecord(buffer: Buffer, from: number, to: number): LogRecord | undefined {
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
    from: from + whole.length,
    to,
  };
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
      if (record !== undefined) this.#add(buffer, record, lines);
      from = to + 1;
    }
    // A record is never so long: what claims to be one is damage, and is skipped.
    const rest = buffer.subarray(from);
    this.#rest = rest.length > 4 * LINE_BYTES_MAX ? Buffer.alloc(0) : Buffer.from(rest);
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

  #add(buffer: Buffer, record: LogRecord, lines: LogLine[]): void {
    const open = this.#open[record.stream];
    if (open.bytes === 0) open.at = record.at;
    // Copied: the buffer is the reader's own and may be used again.
    open.parts.push(Buffer.from(buffer.subarray(record.from, record.to)));
    open.bytes += record.to - record.from;
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
