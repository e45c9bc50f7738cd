import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";

type Message = string | Uint8Array;

/** Above this the client is made to wait. */
const PAUSE_BYTES = 256 * 1024;
const BYTES_MAX = 64 * 1024 * 1024;
/** A paused socket does not notice that its client has gone: it is let read this often. */
const PEEK_MS = 60_000;

export interface InboxDeps {
  clock: Clock;
  /** Deals with one message; the next one waits until it has. */
  handle(message: Message): Promise<void>;
  /** Hears what `handle` throws. */
  fail(error: unknown): void;
}

/** Hands messages on one after the other, and stops reading from the socket while too many wait. */
export class SocketInbox {
  readonly #deps: InboxDeps;
  readonly #socket: { pause(): void; resume(): void };
  #last: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  #cancelPeek: (() => void) | undefined;

  constructor(socket: { pause(): void; resume(): void }, deps: InboxDeps) {
    this.#socket = socket;
    this.#deps = deps;
  }

  push(message: Message): void {
    this.#waitingBytes += message.length;
    if (this.#waitingBytes > BYTES_MAX) {
      const sentence = "too much of the input waits: the other side does not read it";
      return this.#deps.fail(new OrchdError("tooLarge", sentence));
    }
    if (this.#waitingBytes > PAUSE_BYTES) this.#pause();
    this.#last = this.#last
      .then(() => this.#deps.handle(message))
      .catch((error: unknown) => this.#deps.fail(error))
      .finally(() => {
        this.#waitingBytes -= message.length;
        if (this.#waitingBytes <= PAUSE_BYTES) this.#resume();
      });
  }

  /** Takes its timer along. */
  close(): void {
    this.#cancelPeek?.();
    this.#cancelPeek = undefined;
  }

  #pause(): void {
    if (this.#cancelPeek !== undefined) return;
    this.#socket.pause();
    const timer = this.#deps.clock.after(PEEK_MS, () => this.#resume());
    this.#cancelPeek = () => timer.cancel();
  }

  #resume(): void {
    if (this.#cancelPeek === undefined) return;
    this.close();
    this.#socket.resume();
  }
}
