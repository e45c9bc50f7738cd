import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import { type Assignment, assignmentSchema } from "../model/assignment.ts";
import {
  type ByteStream,
  type ExecSession,
  logLineSchema,
  type LogLine,
} from "../model/session.ts";
import { SUCCESSORS_MAX } from "../model/successor.ts";
import { damaged, encodeJson, readError, readJson, startedSchema } from "./calls.ts";
import { TEXT_DOWN_MAX } from "./frames.ts";
import type { Payload } from "./payload.ts";
import type { SessionStream } from "./session-stream.ts";

/** The server's ends of calls: each gets the stream on which its call has been opened. */

/** A log line is at most 16 KiB in Podman's files; written as JSON it is some times that. */
const LINE_BYTES_MAX = 1024 * 1024;

const exitSchema = z.object({ code: z.int() });

/** The answer of a call that prints nothing. */
export async function readResult<T>(stream: SessionStream, schema: z.ZodType<T>): Promise<T> {
  for (;;) {
    const payload = await stream.next();
    if (payload === undefined) throw new OrchdError("conflict", "the call was given up");
    if (payload.kind === "result") return readJson(payload, schema);
    if (payload.kind === "error") throw readError(payload);
  }
}

/** All that the node's agent was told to run last. */
export async function readHeld(stream: SessionStream): Promise<Assignment[]> {
  const held: Assignment[] = [];
  for await (const line of linesOf(stream, TEXT_DOWN_MAX)) {
    const { success, data } = assignmentSchema.safeParse(parseLine(line));
    if (!success || held.length === SUCCESSORS_MAX) throw damaged();
    held.push(data);
  }
  return held;
}

/** The lines as they come; ends quietly when `signal` aborts. */
export async function* readLogs(
  stream: SessionStream,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const leave = () => stream.cancel();
  signal.addEventListener("abort", leave);
  if (signal.aborted) leave();
  try {
    for await (const line of linesOf(stream, LINE_BYTES_MAX)) yield readLine(line);
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}

/** Resolves once the command runs. */
export async function startExec(stream: SessionStream): Promise<ExecSession> {
  await readStarted(stream);
  const exit = Promise.withResolvers<number>();
  // Whoever awaits the exit sees the failure; the reader of the output does as well.
  exit.promise.catch(() => {});
  return {
    output: readOutput(stream, exit),
    exitCode: exit.promise,
    write: (data) => stream.write("data", data),
    closeStdin: () => stream.finish("end"),
    resize: (size) => stream.write("message", encodeJson({ type: "resize", size })),
    close() {
      stream.cancel();
      exit.reject(new OrchdError("conflict", "the command was given up"));
    },
  };
}

/** Resolves once the connection is there. */
export async function startForward(stream: SessionStream): Promise<ByteStream> {
  await readStarted(stream);
  return {
    input: readBytes(stream),
    write: (data) => stream.write("data", data),
    end: () => stream.finish("end"),
    close: () => stream.cancel(),
  };
}

/**
 * Sends all of an archive, no faster than the node takes it.
 * @throws whatever reading the archive throws
 */
export async function upload(
  stream: SessionStream,
  archive: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
): Promise<void> {
  const pieces = piecesFrom(archive);
  const leave = () => pieces.leave();
  stream.ended.addEventListener("abort", leave);
  try {
    if (stream.ended.aborted) leave();
    for (;;) {
      const { done, value } = await pieces.next();
      if (done === true || value === undefined) return stream.finish("end");
      await stream.write("data", value);
    }
  } finally {
    stream.ended.removeEventListener("abort", leave);
    leave();
  }
}

interface Pieces {
  next(): Promise<{ done?: boolean | undefined; value?: Uint8Array | undefined }>;
  /** Nobody wants more; of a stream that somebody waits for that one is let go at once. */
  leave(): void;
}

function piecesFrom(archive: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): Pieces {
  if (archive instanceof ReadableStream) {
    const reader = archive.getReader();
    return { next: () => reader.read(), leave: () => void reader.cancel().catch(() => {}) };
  }
  const pieces = archive[Symbol.asyncIterator]();
  return { next: () => pieces.next(), leave: () => void pieces.return?.().catch(() => {}) };
}

/** Resolves when the node has begun. */
export async function readStarted(stream: SessionStream): Promise<void> {
  const first = await stream.next();
  if (first === undefined) throw new OrchdError("conflict", "the call was given up");
  if (first.kind === "error") throw readError(first);
  if (first.kind !== "message") throw damaged();
  readJson(first, startedSchema);
}

async function* readOutput(
  stream: SessionStream,
  exit: PromiseWithResolvers<number>,
): ExecSession["output"] & AsyncGenerator {
  try {
    for (;;) {
      const payload = await stream.next();
      if (payload === undefined) return;
      const { kind, bytes } = payload;
      if (kind === "stdout" || kind === "stderr") yield { stream: kind, data: bytes };
      else if (kind === "result") return exit.resolve(readJson(payload, exitSchema).code);
      else if (kind === "error") throw readError(payload);
    }
  } catch (error) {
    exit.reject(error);
    throw error;
  }
}

async function* readBytes(stream: SessionStream): AsyncGenerator<Uint8Array> {
  for await (const { kind, bytes } of piecesOf(stream)) {
    if (kind === "end") return;
    yield bytes;
  }
}

/** The lines of a call's bytes. */
async function* linesOf(stream: SessionStream, lengthMax: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const { bytes } of piecesOf(stream)) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lengthMax) throw damaged();
    yield* lines;
  }
}

/** An archive of the node, up to the end of the call. */
export async function* readArchive(stream: SessionStream): AsyncGenerator<Uint8Array> {
  try {
    for await (const { bytes } of piecesOf(stream)) yield bytes;
  } finally {
    stream.cancel();
  }
}

/** The frames of a call until it has ended well. */
async function* piecesOf(stream: SessionStream): AsyncGenerator<Payload> {
  for (;;) {
    const payload = await stream.next();
    if (payload === undefined || payload.kind === "result") return;
    if (payload.kind === "error") throw readError(payload);
    yield payload;
  }
}

function readLine(text: string): LogLine {
  const { success, data } = logLineSchema.safeParse(parseLine(text));
  if (!success) throw damaged();
  return data;
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new OrchdError("internal", "a line of the node is damaged", { cause });
  }
}
