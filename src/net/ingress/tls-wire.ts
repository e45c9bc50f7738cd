import type { TLSSocket } from "node:tls";
import { plainAddress, type Wire, type WireHandler } from "./wire.ts";

/** A client's connection over TLS. */
export class TlsWire implements Wire {
  readonly remoteAddress: string;
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket, handler: WireHandler) {
    this.#socket = socket;
    this.remoteAddress = plainAddress(socket.remoteAddress ?? "");
    socket.on("data", (bytes: Buffer) => handler.onData(bytes));
    socket.on("drain", () => handler.onDrain());
    socket.on("end", () => handler.onEnd());
    socket.on("close", () => handler.onClose());
    // A broken connection closes as well, and that is what counts.
    socket.on("error", () => {});
  }

  get waiting(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): boolean {
    return !this.#socket.writable || this.#socket.write(bytes);
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
