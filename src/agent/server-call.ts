import { request, type IncomingMessage } from "node:http";
import * as tls from "node:tls";
import { connect, type Socket } from "node:net";
import { isErrorCode, OrchdError, systemCodeOf } from "../lib/errors.ts";
import { splitServerAddress } from "../model/server-address.ts";
import { problemSchema } from "../model/summary.ts";
import { SERVER_NAME } from "../pki/authority.ts";

const CONNECT_TIMEOUT_MS = 5000;
const ANSWER_TIMEOUT_MS = 15_000;
/** No answer to an agent is near this. */
const ANSWER_BYTES_MAX = 256 * 1024;

export interface ServerCall {
  /** `host:port` */
  server: string;
  method: "GET" | "POST";
  path: string;
  body?: unknown;
  /**
   * PEM of the one authority that is believed. `undefined` believes anybody: only good for an
   * answer that proves itself.
   */
  ca: string | undefined;
  /** The node's own certificate and key, PEM. */
  identity?: { certificate: string; key: string };
  answerTimeoutMs?: number | undefined;
}

/**
 * One call to a server, on a connection of its own. It goes to the address itself whatever proxy
 * the environment names, which `fetch` would not.
 * @returns the decoded JSON of the answer
 * @throws OrchdError what the server said, or in one sentence why there is no answer from it
 */
export async function callServer(call: ServerCall): Promise<unknown> {
  const socket = await openSocket(call.server);
  try {
    const secure = await handshake(call, socket);
    return await exchange(call, secure);
  } finally {
    socket.destroy();
  }
}

/** Tells apart what a person looks for: nobody listens, a firewall, no such name, no route. */
function openSocket(server: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(splitServerAddress(server));
    const fail = (why: string, cause?: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(unreachable(`${server} can't be reached: ${why}`, cause));
    };
    const timer = setTimeout(
      () =>
        fail(
          `no answer to a connection within ${CONNECT_TIMEOUT_MS / 1000} s: ` +
            "the machine is off, or a firewall drops packets to this port (TCP)",
        ),
      CONNECT_TIMEOUT_MS,
    );
    socket.on("error", (error) => fail(whyUnreachable(error), error));
    socket.on("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error").on("error", () => {});
      resolve(socket);
    });
  });
}

function whyUnreachable(error: Error): string {
  switch (systemCodeOf(error)) {
    case "ECONNREFUSED":
      return "the machine is there, but nothing listens on this port: is `orchd server` running?";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no route to the machine: is the network up?";
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_FAIL":
      return "its name is not known here: is it spelled right?";
    case "ETIMEDOUT":
      return "no answer to a connection: the machine is off, or a firewall drops packets";
    default:
      return "the connection failed";
  }
}

function handshake(call: ServerCall, socket: Socket): Promise<tls.TLSSocket> {
  const { server, ca, identity, answerTimeoutMs = ANSWER_TIMEOUT_MS } = call;
  return new Promise((resolve, reject) => {
    const options: tls.ConnectionOptions = {
      socket,
      servername: SERVER_NAME,
      minVersion: "TLSv1.3",
      ...(ca === undefined ? { rejectUnauthorized: false } : { ca, rejectUnauthorized: true }),
      ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }),
    };
    // Its overloads in Bun's types confuse the linter.
    const secure = tls.connect(options) as tls.TLSSocket;
    const timer = setTimeout(() => reject(silent(server)), answerTimeoutMs);
    const fail = (cause?: Error) => {
      clearTimeout(timer);
      reject(isForeign(cause) ? foreign(server) : notOrchd(server, cause));
    };
    secure.on("error", fail);
    secure.on("close", () => fail());
    secure.on("secureConnect", () => {
      clearTimeout(timer);
      resolve(secure);
    });
  });
}

/** Whether the other side spoke TLS, with a certificate that our authority did not sign. */
function isForeign(cause: Error | undefined): boolean {
  return /CERT|VERIFY|SIGNATURE|SELF_SIGNED|ISSUER/.test(systemCodeOf(cause) ?? "");
}

async function exchange(call: ServerCall, secure: tls.TLSSocket): Promise<unknown> {
  const { server, method, path, body, answerTimeoutMs = ANSWER_TIMEOUT_MS } = call;
  const text = body === undefined ? "" : JSON.stringify(body);
  const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
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
    const broke = (cause?: Error) => end(unreachable(`${server} gave no answer: try again`, cause));
    outgoing.on("error", broke);
    outgoing.on("close", () => broke());
    outgoing.on("response", (response) => {
      readAnswer(server, response).then(
        (text) => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, text });
        },
        (error: unknown) => end(error instanceof OrchdError ? error : notOrchd(server, error)),
      );
    });
    outgoing.end(text);
  });
  return decode(server, answer);
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

function silent(server: string): OrchdError {
  return unreachable(
    `${server} takes connections but does not answer: ` +
      "the server is overloaded, or something else is there",
  );
}

function foreign(server: string): OrchdError {
  const message = `${server} belongs to another cluster, or is not what it says it is`;
  return new OrchdError("forbidden", message);
}

export function notOrchd(server: string, cause?: unknown): OrchdError {
  const message =
    `something other than an orchd server answers on ${server}: ` + "is it the right port?";
  return new OrchdError("unreachable", message, cause === undefined ? {} : { cause });
}

function unreachable(message: string, cause?: Error): OrchdError {
  const options = cause === undefined ? {} : { cause };
  return new OrchdError("unreachable", message, { retryable: true, ...options });
}
