import { request, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { z } from "zod";
import { messageOf, OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { classifyReply, damagedReply, noAnswer } from "./errors.ts";

/** No reply that orchd reads whole is larger: 20,000 containers are 15 MiB. */
const REPLY_BYTES_MAX = 16 * 1024 * 1024;
/** How much of an error's text is looked at; Podman's own are far shorter. */
const ERROR_BYTES_MAX = 16 * 1024;
/** Creating and starting take well under a second; a busy SD card is given a minute. */
const CALL_TIMEOUT_MS = 60_000;
const ANSWER_TIMEOUT_MS = 10_000;

export interface CallOptions {
  query?: Record<string, string | number | boolean>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is, such as an image archive. */
  body?: ReadableStream<Uint8Array>;
  timeoutMs?: number;
}

type Method = "GET" | "POST" | "DELETE";

/** Which of the interfaces that are much alike is spoken. */
export interface HttpApi {
  /** Whose it is, as people call it. */
  program: "Podman" | "Docker";
  /** What stands before every path. */
  base: string;
  /** With which waiting for a container means until it does not run. */
  waitQuery: string;
}

const LIBPOD: HttpApi = {
  program: "Podman",
  base: "/v4.0.0/libpod",
  waitQuery: "?condition=exited&condition=stopped",
};

/**
 * Podman's REST interface on its Unix socket, or Docker's. Short calls go over `fetch`, which keeps
 * connections alive; long streams go over `node:http`, because `fetch` shares 256 connections with
 * the whole process and gives up on quiet ones. Everything thrown is an `OrchdError`.
 */
export class PodmanHttp {
  readonly socketPath: string;
  readonly #api: HttpApi;

  constructor(socketPath: string, api: HttpApi = LIBPOD) {
    this.socketPath = socketPath;
    this.#api = api;
  }

  /** One call whose reply has no use beyond its status; answers the status. */
  async send(method: Method, path: string, options: CallOptions = {}): Promise<number> {
    return (await this.#call(method, path, options)).status;
  }

  /** One call, with its reply held against `schema`. */
  async json<T>(
    schema: z.ZodType<T>,
    method: Method,
    path: string,
    options: CallOptions = {},
  ): Promise<T> {
    const { text } = await this.#call(method, path, options);
    return parseReply(schema, text, path, this.#api.program);
  }

  /** One call whose reply is text. */
  async text(method: Method, path: string, options: CallOptions = {}): Promise<string> {
    return (await this.#call(method, path, options)).text;
  }

  /** Whether something that speaks this protocol answers. */
  async ping(timeoutMs = 2000): Promise<boolean> {
    try {
      return (await this.#call("GET", "/_ping", { timeoutMs })).text === "OK";
    } catch (error) {
      if (error instanceof OrchdError) return false;
      throw error;
    }
  }

  /** Resolves when a running container has ended. */
  async waitForExit(id: string, signal: AbortSignal): Promise<void> {
    const path = `/containers/${id}/wait${this.#api.waitQuery}`;
    const reply = await this.stream("POST", path, signal, 0);
    try {
      await collect(reply);
    } catch (error) {
      // Given up, or the service went away in the midst of it.
      throw connectionError(error, this.socketPath, this.#api.program);
    }
  }

  /**
   * Begins a long reply. The caller reads it, and ends it by `signal` or by destroying it.
   * @param answerTimeoutMs how long Podman may take until the reply begins; 0 for ever
   */
  stream(
    method: Method,
    path: string,
    signal: AbortSignal,
    answerTimeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { socketPath } = this;
      const { program } = this.#api;
      const call = request({ socketPath, path: `${this.#api.base}${path}`, method, agent: false });
      const onAbort = () => call.destroy(new OrchdError("timedOut", "the call was given up"));
      call.setTimeout(answerTimeoutMs, () => call.destroy(noAnswer(socketPath, program)));
      signal.addEventListener("abort", onAbort, { once: true });
      call.on("close", () => signal.removeEventListener("abort", onAbort));
      call.on("error", (error) => reject(connectionError(error, socketPath, program)));
      call.on("response", (reply) => {
        call.setTimeout(0);
        if (reply.statusCode === 200) return resolve(reply);
        collect(reply).then(
          (text) => reject(classifyReply(reply.statusCode ?? 0, text, program)),
          reject,
        );
      });
      if (signal.aborted) onAbort();
      else call.end();
    });
  }

  /** A call that turns into a two-way byte stream; `head` came with the answer already. */
  upgrade(path: string, body: unknown): Promise<{ socket: Duplex; head: Buffer }> {
    return new Promise((resolve, reject) => {
      const { socketPath } = this;
      const { program } = this.#api;
      const headers = {
        "content-type": "application/json",
        connection: "Upgrade",
        upgrade: "tcp",
      };
      const call = request({
        socketPath,
        path: `${this.#api.base}${path}`,
        method: "POST",
        headers,
        agent: false,
      });
      call.setTimeout(CALL_TIMEOUT_MS, () => call.destroy(noAnswer(socketPath, program)));
      call.on("error", (error) => reject(connectionError(error, socketPath, program)));
      call.on("upgrade", (_reply, socket, head) => {
        call.setTimeout(0);
        resolve({ socket, head });
      });
      call.on("response", (reply) => {
        collect(reply).then(
          (text) => reject(classifyReply(reply.statusCode ?? 0, text, program)),
          reject,
        );
      });
      call.end(JSON.stringify(body));
    });
  }

  async #call(
    method: Method,
    path: string,
    options: CallOptions,
  ): Promise<{ status: number; text: string }> {
    const { program } = this.#api;
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), options.timeoutMs ?? CALL_TIMEOUT_MS);
    try {
      const reply = await fetch(`http://podman${this.#api.base}${path}${queryOf(options.query)}`, {
        method,
        unix: this.socketPath,
        signal: giveUp.signal,
        timeout: false,
        ...bodyOf(options),
      });
      const failed = reply.status >= 400;
      const text = await textOf(reply, {
        bytesMax: failed ? ERROR_BYTES_MAX : REPLY_BYTES_MAX,
        cut: failed,
        program,
      });
      if (failed) throw classifyReply(reply.status, text, program);
      return { status: reply.status, text };
    } catch (error) {
      if (error instanceof OrchdError) throw error;
      if (giveUp.signal.aborted) throw noAnswer(this.socketPath, program, error);
      throw connectionError(error, this.socketPath, program);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** What is wanted for its `filters` parameter. */
export function filtersOf(filters: Record<string, string[]>): string {
  return JSON.stringify(filters);
}

/** A reply's text as JSON of a known shape. */
export function parseReply<T>(
  schema: z.ZodType<T>,
  text: string,
  path: string,
  program: HttpApi["program"] = "Podman",
): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Not JSON at all: something else listens there, or the reply was cut off.
    throw damagedReply(path, error, program);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw damagedReply(path, parsed.error, program);
  return parsed.data;
}

/** `?a=1&b=2`, or nothing. */
export function queryOf(query: CallOptions["query"]): string {
  if (query === undefined) return "";
  const pairs = Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]);
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
}

function bodyOf(options: CallOptions): {
  body?: string | ReadableStream;
  headers?: Record<string, string>;
} {
  if (options.body !== undefined) {
    return { body: options.body, headers: { "content-type": "application/x-tar" } };
  }
  if (options.json === undefined) return {};
  return { body: JSON.stringify(options.json), headers: { "content-type": "application/json" } };
}

/** The whole body, or an error once it is larger than `bytesMax`; with `cut`, its beginning. */
async function textOf(
  reply: Response,
  { bytesMax, cut, program }: { bytesMax: number; cut: boolean; program: string },
): Promise<string> {
  if (reply.body === null) return "";
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = "";
  for await (const chunk of reply.body as ReadableStream<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax && !cut) {
      const message = `${program}'s reply is far larger than any that makes sense`;
      throw new OrchdError("runtime", message);
    }
    text += decoder.decode(chunk, { stream: true });
    if (bytes > bytesMax) break;
  }
  return text + decoder.decode();
}

async function collect(reply: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of reply) {
    text += String(chunk);
    if (text.length > ERROR_BYTES_MAX) break;
  }
  return text;
}

function connectionError(
  error: unknown,
  socketPath: string,
  program: HttpApi["program"],
): OrchdError {
  if (error instanceof OrchdError) return error;
  const code = systemCodeOf(error) ?? messageOf(error);
  return noAnswer(socketPath, program, error, code);
}
