import { z } from "zod";
import { isErrorCode, messageChainOf, OrchdError } from "../lib/errors.ts";
import { terminalSizeSchema } from "../model/session.ts";
import { type Payload, RESULT_BYTES_MAX } from "./payload.ts";
import type { SessionStream } from "./session-stream.ts";

/** What both ends of a call say to each other amid the bytes. */

export const startedSchema = z.object({ type: z.literal("started") });
export const resizeSchema = z.object({ type: z.literal("resize"), size: terminalSizeSchema });

const TEXT_MAX = 8192;

const errorSchema = z.object({
  code: z.string().max(64),
  message: z.string().max(TEXT_MAX),
  retryable: z.boolean(),
  /** What caused it, in one line. */
  cause: z.string().max(TEXT_MAX).optional(),
});

const encoder = new TextEncoder();

export function encodeJson(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** Ends a call well. */
export function finishWith(stream: SessionStream, result: unknown): void {
  const bytes = encodeJson(result);
  if (bytes.length <= RESULT_BYTES_MAX) return stream.finish("result", bytes);
  finishFailed(stream, new OrchdError("tooLarge", "the node's answer is larger than 4 MiB"));
}

/** Ends a call that failed, with what went wrong. */
export function finishFailed(stream: SessionStream, error: OrchdError): void {
  const { code, retryable } = error;
  const message = error.message.slice(0, TEXT_MAX);
  const cause = error.cause === undefined ? undefined : messageChainOf(error.cause);
  stream.finish(
    "error",
    encodeJson({ code, message, retryable, cause: cause?.slice(0, TEXT_MAX) }),
  );
}

/**
 * What a JSON frame says.
 * @throws OrchdError `internal` when it is not of this shape
 */
export function readJson<T>(payload: Payload, schema: z.ZodType<T>): T {
  const { success, data } = schema.safeParse(parseBytes(payload.bytes));
  if (success) return data;
  throw damaged();
}

/** The error that the other end tells. */
export function readError(payload: Payload): OrchdError {
  const { code, message, retryable, cause } = readJson(payload, errorSchema);
  const options = cause === undefined ? { retryable } : { retryable, cause: new Error(cause) };
  return new OrchdError(isErrorCode(code) ? code : "internal", message, options);
}

export function damaged(): OrchdError {
  return new OrchdError("internal", "what the other end of the session says makes no sense");
}

function parseBytes(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    // Not JSON: the schema refuses it like any other wrong shape.
    return undefined;
  }
}
