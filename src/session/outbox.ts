import type { Link } from "./link.ts";
import type { SessionStream } from "./session-stream.ts";

/** Sets and payload are handed to the link only while less than this waits in it. */
const PAYLOAD_BELOW_BYTES = 256 * 1024;
/** What is urgent is handed over while less than this waits. */
const URGENT_BELOW_BYTES = 1024 * 1024;
/** When the other end has left so much of what is urgent unread, it is given up. */
const URGENT_BYTES_MAX = 4 * 1024 * 1024;

export interface OutboxOptions {
  link: Link;
  /** The next frame of what only its newest state counts, made when there is room for it. */
  nextBulk(): string | undefined;
  /** The other end does not read. */
  onOverflow(): void;
}

/**
 * What waits to be sent, by urgency: short frames first, then assignment sets, then the streams, a
 * piece of each in turn. The link never gets more than a little of what can wait, so that nothing
 * urgent stands behind it, and a link that takes nothing costs a bounded amount of memory.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  #urgent: string[] = [];
  #urgentBytes = 0;
  readonly #streams = new Set<SessionStream>();
  #closed = false;
  #pumping = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Whether the link has got everything but the streams. */
  get isEmpty(): boolean {
    const { bufferedBytes } = this.#options.link;
    return !this.#pumping && this.#urgent.length === 0 && bufferedBytes < PAYLOAD_BELOW_BYTES;
  }

  push(frame: string): void {
    if (this.#closed) return;
    this.#urgent.push(frame);
    this.#urgentBytes += frame.length;
    this.pump();
    if (this.#urgentBytes > URGENT_BYTES_MAX) this.#options.onOverflow();
  }

  /** The stream has something to send. */
  offer(stream: SessionStream): void {
    if (this.#closed) return;
    this.#streams.add(stream);
    this.pump();
  }

  /** Sends what the link has room for. */
  pump(): void {
    // A link that is never full may say at once that it drained.
    if (this.#closed || this.#pumping) return;
    this.#pumping = true;
    this.#sendUrgent();
    this.#sendRest();
    this.#pumping = false;
  }

  #sendUrgent(): void {
    const { link } = this.#options;
    let sent = 0;
    while (sent < this.#urgent.length && link.bufferedBytes < URGENT_BELOW_BYTES) {
      const frame = this.#urgent[sent++] ?? "";
      this.#urgentBytes -= frame.length;
      link.send(frame);
    }
    if (sent > 0) this.#urgent.splice(0, sent);
  }

  #sendRest(): void {
    const { link } = this.#options;
    while (!this.#closed && link.bufferedBytes < PAYLOAD_BELOW_BYTES) {
      const frame = this.#options.nextBulk() ?? this.#nextPiece();
      if (frame === undefined) return;
      link.send(frame);
      // What became urgent in the meantime does not wait for the rest.
      this.#sendUrgent();
    }
  }

  close(): void {
    this.#closed = true;
    this.#urgent = [];
    this.#streams.clear();
  }

  /** The streams take turns: who has sent stands behind all others. */
  #nextPiece(): Uint8Array | undefined {
    for (const stream of this.#streams) {
      this.#streams.delete(stream);
      const frame = stream.takeFrame();
      if (frame === undefined) continue;
      this.#streams.add(stream);
      return frame;
    }
    return undefined;
  }
}
