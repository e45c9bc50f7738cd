import { OrchdError } from "../lib/errors.ts";
import { BunLink } from "./bun-link.ts";
import type { Link } from "./link.ts";
import { parseRefusal, type Refusal, SESSION_PATH, STATUS_PATH } from "./refusal.ts";

const CONNECT_TIMEOUT_MS = 5000;
const STATUS_TIMEOUT_MS = 5000;
const STATUS_CHARACTERS_MAX = 64 * 1024;

/** What the agent shows and trusts, PEM texts. */
export interface TlsOptions {
  ca: string;
  cert: string;
  key: string;
  /** The name in every server's certificate. */
  serverName: string;
}

/** Connects to a server; throws an `OrchdError`, a `Refusal` when the server says why. */
export type Dial = (address: string, tls: TlsOptions) => Promise<Link>;

/**
 * Opens a WebSocket to the server at `address`, such as `192.0.2.1:6770`. A client of WebSockets
 * learns of a refusal nothing but its status, so the server is asked once more over plain HTTP.
 */
export async function dial(address: string, tls: TlsOptions): Promise<Link> {
  const socket = new WebSocket(`wss://${address}${SESSION_PATH}`, { tls });
  try {
    return await opened(socket);
  } catch (error) {
    const refusal = isRefusal(error) ? await askWhy(address, tls) : undefined;
    throw refusal ?? error;
  }
}

function opened(socket: WebSocket): Promise<Link> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      socket.terminate();
      reject(new OrchdError("unreachable", why, { retryable: true }));
    };
    const timer = setTimeout(() => fail("it does not answer"), CONNECT_TIMEOUT_MS);
    const onError = (event: Event) => fail(messageIn(event));
    const onClose = () => fail("it closed the connection");
    socket.addEventListener("error", onError);
    socket.addEventListener("close", onClose);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      socket.removeEventListener("error", onError);
      socket.removeEventListener("close", onClose);
      resolve(new BunLink(socket));
    });
  });
}

/** The runtime's sentence ends with its reason. */
function messageIn(event: Event): string {
  const message = "message" in event ? String(event.message) : "";
  return message.split("failed: ").at(-1) || "it broke";
}

/** Whether a server answered at all: a connection that never was has no status to ask for. */
function isRefusal(error: unknown): boolean {
  return error instanceof OrchdError && error.message.includes("101 status code");
}

async function askWhy(address: string, tls: TlsOptions): Promise<Refusal | undefined> {
  try {
    const response = await fetch(`https://${address}${STATUS_PATH}`, {
      tls,
      redirect: "error",
      signal: AbortSignal.timeout(STATUS_TIMEOUT_MS),
    });
    return parseRefusal((await response.text()).slice(0, STATUS_CHARACTERS_MAX));
  } catch {
    // It did not say why: the first error is told.
    return undefined;
  }
}
