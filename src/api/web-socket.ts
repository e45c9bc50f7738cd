import type { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import { AdmittedSocket } from "./admitted.ts";
import type { ApiSocket, ApiWebSocket } from "./api-socket.ts";
import type { ApiContext } from "./env.ts";
import { answerRefusal, detailsOf } from "./problem.ts";

/** What `send` answers when the message waits in memory. */
const BACKPRESSURE = -1;

/** For `Bun.serve`: hands each event to the socket's own object. */
export const apiWebSocketHandler = {
  maxPayloadLength: 16 * 1024 * 1024,
  backpressureLimit: 16 * 1024 * 1024,
  idleTimeout: 0,
  perMessageDeflate: false,
  open: (ws: ApiWebSocket) => ws.data.socket.onOpen(ws),
  message: (ws: ApiWebSocket, message: string | Uint8Array) => ws.data.socket.onMessage(message),
  drain: (ws: ApiWebSocket) => ws.data.socket.onDrain(),
  close: (ws: ApiWebSocket) => ws.data.socket.onClose(),
};

/** Sends bytes no faster than the client reads them. */
export class SocketSender {
  readonly #ws: ApiWebSocket;
  #drained = Promise.withResolvers<void>();
  #closed = false;

  constructor(ws: ApiWebSocket) {
    this.#ws = ws;
  }

  /** Resolves when the socket has taken the message whole, or has gone. */
  async send(message: Uint8Array): Promise<void> {
    if (this.#ws.send(message) !== BACKPRESSURE) return;
    // A drain can leave a rest, and what is sent on top of too large a rest is dropped.
    while (!this.#closed && this.#ws.getBufferedAmount() > 0) await this.#drained.promise;
  }

  onDrain(): void {
    this.#drained.resolve();
    this.#drained = Promise.withResolvers<void>();
  }

  close(): void {
    this.#closed = true;
    this.#drained.resolve();
  }
}

/** Answers with a WebSocket that lasts as long as who asks is let in, or says why not. */
export function upgrade(c: ApiContext, socket: ApiSocket): Response {
  if (isForeign(c)) {
    return answerRefusal(c, 403, "forbidden", "a page of another site may not do this");
  }
  // Without a server `env` is undefined in spite of its type.
  const env: ApiContext["env"] | undefined = c.env;
  const admission = c.get("admission");
  const lasting = admission === undefined ? socket : new AdmittedSocket(socket, admission);
  if (env?.server?.upgrade(c.req.raw, { data: { socket: lasting } }) === true) return c.body(null);
  return answerRefusal(c, 400, "invalid", "this address takes WebSockets only");
}

/**
 * A text message of the client.
 * @throws OrchdError `invalid`, which repeats nothing of it
 */
export function parseMessage<Schema extends z.ZodType>(
  schema: Schema,
  message: string | Uint8Array,
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(parseJson(message));
  if (success) return data;
  throw new OrchdError(
    "invalid",
    `the message is not valid: ${detailsOf(error.issues).join("; ")}`,
  );
}

function parseJson(message: string | Uint8Array): unknown {
  try {
    return typeof message === "string" ? JSON.parse(message) : undefined;
  } catch {
    // Not JSON: the schema refuses it like any other wrong shape.
    return undefined;
  }
}

/** Browsers tell where a page is from; command lines tell nothing. */
function isForeign(c: ApiContext): boolean {
  const origin = c.req.header("origin");
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== c.req.header("host");
}
