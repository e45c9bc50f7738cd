import { request, type ClientRequest, type IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { OrchdError } from "../lib/errors.ts";
import { SERVER_NAME } from "../model/server-address.ts";
import { ApiError, bytesOf, linesOf, problemIn, readBounded } from "./client-answer.ts";
import { connectServer, notOrchd } from "./client-connect.ts";
import type { ApiRequest, Transport } from "./client-transport.ts";

/** A server on another machine. */
export interface TlsServer {
  /** `host:port` */
  address: string;
  /** PEM of the one authority that is believed. */
  ca: string;
  /** The text of an admin token. */
  token: string;
  /** Where all of it is kept, so that a person can be told what to put right. */
  context?: string;
}

/**
 * Reaches a server by TLS, with a connection for each call. Neither `fetch`, which would ask a
 * proxy that the environment names, nor a shared connection: what goes wrong is told exactly.
 */
export class TlsTransport implements Transport {
  readonly #server: TlsServer;
  /** An error may pass here twice. */
  readonly #explained = new WeakSet<OrchdError>();
  #letIn: Promise<void> | undefined;

  constructor(server: TlsServer) {
    this.#server = server;
  }

  async call(asked: ApiRequest): Promise<unknown> {
    const late = Promise.withResolvers<never>();
    const { timeoutMs } = asked;
    const abort = new AbortController();
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            late.reject(this.#tooLate());
            abort.abort();
          }, timeoutMs);
    try {
      return await Promise.race([this.#answer(asked, abort.signal), late.promise]);
    } catch (error) {
      throw this.explain(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async *stream(request: ApiRequest, signal: AbortSignal): AsyncGenerator<unknown> {
    try {
      const response = await this.#ask(request, signal);
      // The chunks of a response without an encoding are bytes.
      yield* linesOf(response as AsyncIterable<Uint8Array>, response.statusCode ?? 0);
    } catch (error) {
      if (!signal.aborted) throw this.explain(error);
    }
  }

  async *download(request: ApiRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      const { address } = this.#server;
      yield* bytesOf(await this.#ask(request, signal), () => notOrchd(address));
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** A WebSocket that fails does not say why: whether the server lets us in is tried before. */
  async webSocket(path: string): Promise<WebSocket> {
    this.#letIn ??= this.call({ method: "GET", path: "/v1/version" }).then(() => {});
    await this.#letIn;
    const { address, ca, token } = this.#server;
    return new WebSocket(`wss://${address}${path}`, {
      tls: { ca, serverName: SERVER_NAME, rejectUnauthorized: true },
      headers: { authorization: `Bearer ${token}` },
    });
  }

  explain(error: unknown): OrchdError {
    if (error instanceof OrchdError) return this.#withRemedy(error);
    return new OrchdError(
      "unreachable",
      `the connection to the orchd server at ${this.#server.address} broke: try again`,
      { retryable: true },
    );
  }

  /** What the context must be given when its token or its authority is not right any more. */
  #withRemedy(error: OrchdError): OrchdError {
    const { context } = this.#server;
    if (context === undefined || this.#explained.has(error)) return error;
    const again = `\`orchd context add ${context} --replace\``;
    const remedy =
      error.code === "unauthorized"
        ? `then give it to ${again}`
        : isForeignServer(error)
          ? `if its cluster was made anew, use a token of the new one with ${again}`
          : undefined;
    if (remedy === undefined) return error;
    const told = new OrchdError(error.code, `${error.message}; ${remedy}`);
    this.#explained.add(told);
    return told;
  }

  async #answer(asked: ApiRequest, signal: AbortSignal): Promise<unknown> {
    const response = await this.#ask(asked, signal);
    const status = response.statusCode ?? 0;
    const text = await readBounded(response as AsyncIterable<Uint8Array>);
    const { address } = this.#server;
    if (status < 200 || status > 299) throw problemIn(text, status) ?? notOrchd(address);
    if (text === "") return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw notOrchd(address, cause);
    }
  }

  /** Resolves with the head of the answer; the connection ends with `signal` or the answer. */
  async #ask(asked: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { address, ca } = this.#server;
    const secure = await connectServer({ server: address, ca });
    const leave = () => void secure.destroy();
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave);
    secure.on("close", () => signal.removeEventListener("abort", leave));
    const outgoing = this.#begin(asked, secure);
    return new Promise((resolve, reject) => {
      outgoing.on("response", (response) => {
        response.on("close", leave);
        resolve(response);
      });
      outgoing.on("error", reject);
      outgoing.on("close", () => reject(this.explain(undefined)));
      send(outgoing, asked).catch(reject);
    });
  }

  #begin({ method, path, body, upload }: ApiRequest, secure: TLSSocket): ClientRequest {
    const type = upload === undefined ? "application/json" : "application/octet-stream";
    const hasBody = body !== undefined || upload !== undefined;
    return request({
      createConnection: () => secure,
      method,
      path,
      headers: {
        host: "orchd",
        connection: "close",
        authorization: `Bearer ${this.#server.token}`,
        ...(hasBody ? { "content-type": type } : {}),
        ...(upload instanceof Blob ? { "content-length": upload.size } : {}),
      },
    });
  }

  #tooLate(): OrchdError {
    const { address } = this.#server;
    const message = `the orchd server at ${address} took too long to answer: try again`;
    return new OrchdError("timedOut", message, { retryable: true });
  }
}

/** Found out by the handshake, and not said by a server that we believe. */
function isForeignServer(error: OrchdError): boolean {
  return error.code === "forbidden" && !(error instanceof ApiError);
}

/** Sends the body no faster than the server takes it. */
async function send(outgoing: ClientRequest, { body, upload }: ApiRequest): Promise<void> {
  if (upload === undefined) {
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    return;
  }
  const stream = upload instanceof Blob ? upload.stream() : upload;
  for await (const chunk of stream) {
    // An answer before the end, such as a refusal: the rest is of no use.
    if (outgoing.destroyed) return;
    if (!outgoing.write(chunk)) await drained(outgoing);
  }
  outgoing.end();
}

function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once("drain", resolve);
    outgoing.once("close", resolve);
  });
}
