import { request, type IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { z } from "zod";
import { isErrorCode, OrchdError } from "../lib/errors.ts";
import { problemSchema } from "../model/summary.ts";
import {
  connectServer,
  notOrchd,
  silent,
  unreachable,
  type ServerAsked,
} from "./client-connect.ts";

const ANSWER_TIMEOUT_MS = 15_000;
/** No answer to an agent is near this. */
const ANSWER_BYTES_MAX = 256 * 1024;

export interface ServerCall extends ServerAsked {
  method: "GET" | "POST";
  path: string;
  body?: unknown;
}

/** A call whose answer has this shape; any other is no orchd's. */
export async function callFor<Schema extends z.ZodType>(
  schema: Schema,
  call: ServerCall,
): Promise<z.output<Schema>> {
  return (await callWithTime(schema, call)).value;
}

/** As `callFor`, with the server's time as it is told in the answer's head: to the second. */
export async function callWithTime<Schema extends z.ZodType>(
  schema: Schema,
  call: ServerCall,
): Promise<{ value: z.output<Schema>; serverTime: number | undefined }> {
  const { value, date } = await callServer(call);
  const { success, data } = schema.safeParse(value);
  if (!success) throw notOrchd(call.server);
  const serverTime = Date.parse(date);
  return { value: data, serverTime: Number.isNaN(serverTime) ? undefined : serverTime };
}

/** The decoded JSON of an answer, and the date in its head. */
interface Decoded {
  value: unknown;
  date: string;
}

/**
 * One call to a server, on a connection of its own.
 * @throws OrchdError what the server said, or in one sentence why there is no answer from it
 */
async function callServer(call: ServerCall): Promise<Decoded> {
  const secure = await connectServer(call);
  try {
    return await exchange(call, secure);
  } finally {
    secure.destroy();
  }
}

async function exchange(call: ServerCall, secure: TLSSocket): Promise<Decoded> {
  const { server, method, path, body, answerTimeoutMs = ANSWER_TIMEOUT_MS } = call;
  const text = body === undefined ? "" : JSON.stringify(body);
  const answer = await new Promise<{ status: number; text: string; date: string }>(
    (resolve, reject) => {
      const timer = setTimeout(() => reject(silent(server)), answerTimeoutMs);
      const end = (error: OrchdError) => {
        clearTimeout(timer);
        reject(error);
      };
      const outgoing = request({
        createConnection: () => secure,
        method,
        path,
        headers: {
          host: "orchd",
          connection: "close",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          "content-length": Buffer.byteLength(text),
        },
      });
      const broke = (cause?: Error) =>
        end(unreachable(`${server} gave no answer: try again`, cause));
      outgoing.on("error", broke);
      outgoing.on("close", () => broke());
      outgoing.on("response", (response) => {
        readAnswer(server, response).then(
          (text) => {
            clearTimeout(timer);
            const { statusCode: status = 0, headers } = response;
            resolve({ status, text, date: headers.date ?? "" });
          },
          (error: unknown) => end(error instanceof OrchdError ? error : notOrchd(server, error)),
        );
      });
      outgoing.end(text);
    },
  );
  return { value: decode(server, answer), date: answer.date };
}

async function readAnswer(server: string, response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) {
      const message = `the answer of ${server} is larger than any that a server gives`;
      throw new OrchdError("tooLarge", message);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function decode(server: string, { status, text }: { status: number; text: string }): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notOrchd(server, cause);
  }
  if (status >= 200 && status < 300) return value;
  const problem = problemSchema.safeParse(value).data?.error;
  if (problem === undefined || !isErrorCode(problem.code)) throw notOrchd(server);
  throw new OrchdError(problem.code, problem.message);
}
