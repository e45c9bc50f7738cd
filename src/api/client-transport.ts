import type { IncomingMessage } from "node:http";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { bytesOf, linesOf, problemIn, readBounded } from "./client-answer.ts";

/** One call of the API; the path holds its query, already encoded. */
export interface ApiRequest {
  method: "GET" | "PUT" | "POST" | "DELETE";
  path: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, as an octet stream, instead of `body`. */
  upload?: Blob | ReadableStream<Uint8Array>;
  /** The longest that the whole answer may take; absent means no limit. */
  timeoutMs?: number;
}

/** How the client reaches a server. Everything that knows of sockets and addresses is behind it. */
export interface Transport {
  /** The decoded JSON answer. Fails with an `OrchdError`. */
  call(request: ApiRequest): Promise<unknown>;
  /** Each line of an NDJSON answer; ends quietly when `signal` aborts. */
  stream(request: ApiRequest, signal: AbortSignal): AsyncGenerator<unknown>;
  /** The bytes of an answer, as they come. One that breaks off may look like one that ended. */
  download(request: ApiRequest, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** A WebSocket that is connecting. Fails with an `OrchdError` where it is known to be in vain. */
  webSocket(path: string): Promise<WebSocket>;
  /** What an error of the connection means to a person; undefined where it just ended. */
  explain(error: unknown): OrchdError;
}

/** Reaches the server on this machine, on its Unix socket. */
export class UnixTransport implements Transport {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async call(request: ApiRequest): Promise<unknown> {
    try {
      return await this.#fetch(request);
    } catch (error) {
      throw this.explain(error);
    }
  }

  async #fetch({ method, path, body, upload, timeoutMs }: ApiRequest): Promise<unknown> {
    const type = upload === undefined ? "application/json" : "application/octet-stream";
    const sent = upload ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(`http://orchd${path}`, {
      unix: this.#socketPath,
      method,
      redirect: "error",
      // An image takes as long as it takes: without this the runtime gives up after five minutes.
      timeout: false,
      ...(sent === undefined ? {} : { body: sent, headers: { "content-type": type } }),
      ...(timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
    });
    const text = await readBounded(response.body);
    if (!response.ok) throw problemIn(text, response.status) ?? this.#notOrchd();
    if (text === "") return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw this.#notOrchd(cause);
    }
  }

  async *stream(asked: ApiRequest, signal: AbortSignal): AsyncGenerator<unknown> {
    try {
      // The chunks of a response without an encoding are bytes.
      yield* this.#read(asked, signal, (response) =>
        linesOf(response as AsyncIterable<Uint8Array>, response.statusCode ?? 0),
      );
    } catch (error) {
      if (!signal.aborted) throw this.explain(error);
    }
  }

  async *download(asked: ApiRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#read(asked, signal, (response) => bytesOf(response, () => this.#notOrchd()));
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** The connection ends with whoever reads the answer, and with `signal`. */
  async *#read<T>(
    { method, path, body }: ApiRequest,
    signal: AbortSignal,
    read: (response: IncomingMessage) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    // Calls don't pay for loading it; and unlike fetch it lets a quiet stream live.
    const { request } = await import("node:http");
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const outgoing = request({ socketPath: this.#socketPath, path, method, headers });
    const leave = () => void outgoing.destroy();
    signal.addEventListener("abort", leave);
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        outgoing.on("response", resolve).on("error", reject).on("close", reject);
        if (signal.aborted) leave();
        else outgoing.end(body === undefined ? undefined : JSON.stringify(body));
      });
      yield* read(response);
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  }

  async webSocket(path: string): Promise<WebSocket> {
    return new WebSocket(`ws+unix://${this.#socketPath}:${path}`);
  }

  explain(error: unknown): OrchdError {
    if (error instanceof OrchdError) return error;
    const code = systemCodeOf(error);
    if (code === "EACCES" || code === "EPERM") {
      return new OrchdError(
        "forbidden",
        `only root may use the orchd server's socket ${this.#socketPath}: ` +
          "run the command as root, or with sudo",
      );
    }
    if (code === "ENAMETOOLONG") {
      return new OrchdError("usage", `the socket's path ${this.#socketPath} is too long`);
    }
    if (error instanceof Error && error.name === "TimeoutError") {
      return new OrchdError(
        "timedOut",
        `the orchd server on ${this.#socketPath} took too long to answer: try again`,
        { retryable: true },
      );
    }
    if (code === "ENOENT" || code === "ECONNREFUSED") return this.#unreachable();
    // What is more to say of a connection that the other side ended is said.
    const cause = code === "ECONNRESET" || code === "EPIPE" ? undefined : error;
    return new OrchdError(
      "unreachable",
      `the connection to the orchd server on ${this.#socketPath} broke: try again`,
      { retryable: true, cause },
    );
  }

  #unreachable(): OrchdError {
    return new OrchdError(
      "unreachable",
      `orchd server does not answer on ${this.#socketPath}: ` +
        "start it with `orchd server`, or name its socket with --socket",
      { retryable: true },
    );
  }

  #notOrchd(cause?: unknown): OrchdError {
    return new OrchdError(
      "unreachable",
      `something other than an orchd server answers on ${this.#socketPath}: ` +
        "name the right socket with --socket",
      { cause },
    );
  }
}
