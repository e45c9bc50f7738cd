import type { Link, LinkHandlers } from "./link.ts";

/** How often a full socket is looked at: it does not say when it has room again. */
const DRAIN_POLL_MS = 5;
/** A close frame holds no more (RFC 6455, section 5.5.1). */
const REASON_BYTES_MAX = 123;
/** A goodbye that is not answered by then is none. */
const CLOSE_WITHIN_MS = 5000;

/** The agent's end of a WebSocket: Bun's client. */
export class BunLink implements Link {
  readonly #socket: WebSocket;
  #handlers: LinkHandlers | undefined;
  #drain: ReturnType<typeof setTimeout> | undefined;
  #goodbye: ReturnType<typeof setTimeout> | undefined;

  /** @param socket one that is open */
  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(frame: string | Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(frame);
    if (this.bufferedBytes > 0) this.#drain ??= setTimeout(() => this.#look(), DRAIN_POLL_MS);
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  close(code: number, reason: string, withinMs = CLOSE_WITHIN_MS): void {
    this.#socket.close(code, cutReason(reason));
    this.#goodbye ??= setTimeout(() => this.terminate(), withinMs);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  listen(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    const socket = this.#socket;
    socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data === "string") handlers.onText(data);
      else handlers.onBytes(new Uint8Array(data));
    });
    socket.addEventListener("ping", () => handlers.onSound());
    socket.addEventListener("pong", () => handlers.onSound());
    // A close event follows each error.
    socket.addEventListener("error", () => {});
    socket.addEventListener("close", ({ code, reason }) => {
      clearTimeout(this.#drain);
      clearTimeout(this.#goodbye);
      handlers.onClose(code, reason);
    });
    // It may have gone between its opening and now: then nothing tells of it any more.
    if (socket.readyState === WebSocket.CLOSED) queueMicrotask(() => handlers.onClose(1006, ""));
  }

  #look(): void {
    this.#drain = undefined;
    this.#handlers?.onDrain();
    if (this.#socket.readyState !== WebSocket.OPEN || this.bufferedBytes === 0) return;
    this.#drain ??= setTimeout(() => this.#look(), DRAIN_POLL_MS);
  }
}

/** The reason, cut to what a close frame holds. */
export function cutReason(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  if (bytes.length <= REASON_BYTES_MAX) return reason;
  return (
    new TextDecoder().decode(bytes.subarray(0, REASON_BYTES_MAX - 4)).replace(/\ufffd+$/, "") + "…"
  );
}
