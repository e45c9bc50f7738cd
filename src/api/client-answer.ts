import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { isErrorCode, OrchdError } from "../lib/errors.ts";
import type { problemSchema } from "../model/summary.ts";

/** An answer longer than this is not one that orchd gives. */
const REPLY_BYTES_MAX = 256 * 1024 * 1024;
const LINE_CHARS_MAX = 16 * 1024 * 1024;

/** An error that the server told, with its further lines. */
export class ApiError extends OrchdError {
  readonly details: readonly string[];

  constructor(problem: z.infer<typeof problemSchema>["error"]) {
    super(isErrorCode(problem.code) ? problem.code : "internal", problem.message);
    this.details = problem.details;
  }
}

/** A whole answer as text. */
export async function readBounded(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > REPLY_BYTES_MAX) {
      throw new OrchdError("tooLarge", "the answer is larger than any that orchd gives");
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** The bytes of an answer that went well. */
export async function* bytesOf(
  response: IncomingMessage,
  notOrchd: () => OrchdError,
): AsyncGenerator<Uint8Array> {
  // The chunks of a response without an encoding are bytes.
  const chunks = response as AsyncIterable<Uint8Array>;
  const status = response.statusCode ?? 0;
  if (status >= 200 && status <= 299) {
    yield* chunks;
    return;
  }
  throw problemIn(await readBounded(chunks), status) ?? notOrchd();
}

/** Empty lines are heartbeats; a line that is a problem ends the stream with it. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, status: number) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_CHARS_MAX) {
      throw new OrchdError("tooLarge", "a line of the answer is longer than any that orchd gives");
    }
    for (const line of lines) if (line.trim() !== "") yield parseLine(line, status);
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield parseLine(rest, status);
}

function parseLine(line: string, status: number): unknown {
  const problem = problemIn(line, status);
  if (problem !== undefined) throw problem;
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    throw new OrchdError("internal", "the orchd server's answer is damaged: try again", { cause });
  }
}

/** The error that a text tells, if it is one. */
export function problemIn(text: string, status: number): ApiError | undefined {
  if (status < 400 && !text.startsWith('{"error":')) return undefined;
  try {
    const { error } = JSON.parse(text) as { error?: Record<string, unknown> };
    if (typeof error?.["code"] !== "string" || typeof error["message"] !== "string") {
      return undefined;
    }
    const details = Array.isArray(error["details"]) ? error["details"].map(String) : [];
    return new ApiError({ code: error["code"], message: error["message"], details });
  } catch {
    // Not JSON, so not a problem that orchd tells; the caller says so.
    return undefined;
  }
}
