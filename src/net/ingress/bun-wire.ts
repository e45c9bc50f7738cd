import type { Socket, SocketHandler } from "bun";
import { plainAddress, type Wire, type WireHandler } from "./wire.ts";

/** What waits to go out when the other side reads slowly, and who is told of the connection. */
export class BunWire implements Wire {
  readonly remoteAddress: string;
  readonly #socket: Socket<BunWire>;
  handler: WireHandler;
  #waiting: Uint8Array[] = [];
  #isEnding = false;
  #isPaused = false;
  /** Whether our end was told to the other side, and whether it told its own. */
  #isShut = false;
  #hasEnded = false;
  isClosed = false;

  constructor(socket: Socket<BunWire>, handler: WireHandler) {
    this.#socket = socket;
    this.handler = handler;
    this.remoteAddress = plainAddress(socket.remoteAddress);
  }

  get waiting(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0);
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed || this.#isEnding) return true;
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes);
      return false;
    }
    const written = Math.max(0, this.#socket.write(bytes));
    if (written >= bytes.length) return true;
    this.#waiting.push(bytes.subarray(written));
    return false;
  }

  end(): void {
    this.#isEnding = true;
    if (this.#waiting.length === 0) this.#shut();
  }

  #shut(): void {
    if (this.isClosed || this.#isShut) return;
    this.#isShut = true;
    this.#socket.shutdown();
    // Nothing goes either way any more: a socket that stays half open keeps its descriptor.
    if (this.#hasEnded) this.#socket.end();
  }

  destroy(): void {
    if (!this.isClosed) this.#socket.end();
  }

  pause(): void {
    if (this.isClosed || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    // It is asked for after each request, and mostly needless.
    if (this.isClosed || !this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** There may be room again. */
  drain(): void {
    if (this.#waiting.length === 0) return;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const written = Math.max(0, this.#socket.write(first));
      if (this.isClosed) return;
      if (written < first.length) {
        this.#waiting[0] = first.subarray(written);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#isEnding) this.#shut();
    this.handler.onDrain();
  }

  ended(): void {
    this.#hasEnded = true;
    this.handler.onEnd();
    if (this.#isShut) this.destroy();
  }

  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#waiting = [];
    this.handler.onClose();
  }
}

/** For all sockets whose data is a wire. */
export const WIRE_EVENTS: SocketHandler<BunWire> = {
  data: (socket, bytes) => socket.data.handler.onData(bytes),
  drain: (socket) => socket.data.drain(),
  end: (socket) => socket.data.ended(),
  close: (socket) => socket.data.closed(),
  // A broken connection closes as well, and that is what counts.
  error: () => {},
};
