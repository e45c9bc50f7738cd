import { connect, type Socket } from "node:net";
import * as tls from "node:tls";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { SERVER_NAME, splitServerAddress } from "../model/server-address.ts";

const CONNECT_TIMEOUT_MS = 5000;
const HANDSHAKE_TIMEOUT_MS = 15_000;

/** Which server, and how either side is known. */
export interface ServerAsked {
  /** `host:port` */
  server: string;
  /**
   * PEM of the one authority that is believed. `undefined` believes anybody: only good for an
   * answer that proves itself.
   */
  ca: string | undefined;
  /** A node's own certificate and key, PEM. */
  identity?: { certificate: string; key: string };
  /** How long the handshake may take, and then each answer. */
  answerTimeoutMs?: number | undefined;
}

/**
 * A connection to a server, past its handshake. It goes to the address itself whatever proxy the
 * environment names, which `fetch` would not.
 * @throws OrchdError `unreachable`, or `forbidden` when another authority signed; in one sentence
 */
export async function connectServer(asked: ServerAsked): Promise<tls.TLSSocket> {
  const socket = await openSocket(asked.server);
  try {
    const secure = await handshake(asked, socket);
    secure.on("close", () => socket.destroy());
    return secure;
  } catch (error) {
    socket.destroy();
    throw error;
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

function handshake(asked: ServerAsked, socket: Socket): Promise<tls.TLSSocket> {
  const { server, ca, identity, answerTimeoutMs = HANDSHAKE_TIMEOUT_MS } = asked;
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

export function silent(server: string): OrchdError {
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

export function unreachable(message: string, cause?: Error): OrchdError {
  const options = cause === undefined ? {} : { cause };
  return new OrchdError("unreachable", message, { retryable: true, ...options });
}
