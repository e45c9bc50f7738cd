import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { cutReason } from "./bun-link.ts";
import { TEXT_UP_MAX } from "./frames.ts";
import type { Link, LinkHandlers } from "./link.ts";
import { BINARY_FRAME_BYTES_MAX } from "./payload.ts";

/** UTF-8 needs up to three bytes for a character of a JavaScript text. */
const FRAME_BYTES_MAX = Math.max(BINARY_FRAME_BYTES_MAX, 3 * TEXT_UP_MAX);
const CLOSE_WITHIN_MS = 5000;

/** Turns upgrade requests into links: the server's end of sessions. */
export class LinkListener {
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: false,
  });

  /** For the `upgrade` event of a `node:http` server, once the agent is known to be welcome. */
  upgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    onLink: (link: Link) => void,
  ): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => onLink(new WsLink(ws)));
  }
}

/** The server's end of a WebSocket. */
class WsLink implements Link {
  readonly #ws: WebSocket;
  #handlers: LinkHandlers | undefined;

  constructor(ws: WebSocket) {
    this.#ws = ws;
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  send(frame: string | Uint8Array): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    this.#ws.send(frame, { binary: typeof frame !== "string" }, () => this.#handlers?.onDrain());
  }

  ping(): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  close(code: number, reason: string, withinMs = CLOSE_WITHIN_MS): void {
    this.#ws.close(code, cutReason(reason));
    // An agent that does not read does not answer either.
    const timer = setTimeout(() => this.terminate(), withinMs);
    this.#ws.once("close", () => clearTimeout(timer));
  }

  terminate(): void {
    this.#ws.terminate();
  }

  listen(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    const ws = this.#ws;
    ws.binaryType = "nodebuffer";
    ws.on("message", (data, isBinary) => {
      const bytes = data as Buffer;
      if (isBinary) handlers.onBytes(bytes);
      else handlers.onText(bytes.toString("utf8"));
    });
    ws.on("ping", () => handlers.onSound());
    ws.on("pong", () => handlers.onSound());
    // A close event follows each error.
    ws.on("error", () => {});
    ws.on("close", (code, reason) => handlers.onClose(code, reason.toString("utf8")));
  }
}
