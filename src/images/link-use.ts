import type { Clock } from "../lib/clock.ts";
import type { NodeLink } from "../model/link.ts";

/** What may be sent at once after a rest. */
const BURST_MS = 250;

/** How a machine uses its link for images: no faster than its setting says, which may change. */
export class LinkUse {
  readonly #clock: Clock;
  readonly #link: () => NodeLink | undefined;
  /** By when what was taken so far is paid off, by the monotonic clock, for each direction. */
  readonly #paidAt = { in: -Infinity, out: -Infinity };

  constructor(clock: Clock, link: () => NodeLink | undefined) {
    this.#clock = clock;
    this.#link = link;
  }

  get isCapped(): boolean {
    return this.#link()?.bytesPerSecond !== undefined;
  }

  /** The same pieces, as fast as the link may be used. */
  async *paced(
    direction: "in" | "out",
    pieces: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length;) {
        // In parts so small that nobody takes the pause between two of them for the end.
        const part = piece.subarray(at, at + this.#partBytes());
        at += part.length;
        const waitMs = this.#take(direction, part.length);
        if (waitMs > 0) await new Promise<void>((go) => this.#clock.after(waitMs, go));
        yield part;
      }
    }
  }

  #partBytes(): number {
    const { bytesPerSecond = Infinity } = this.#link() ?? {};
    return Math.ceil((bytesPerSecond * BURST_MS) / 1000);
  }

  /** A token bucket, kept as the time at which it is full again; answers how long to wait. */
  #take(direction: "in" | "out", bytes: number): number {
    const rate = this.#link()?.bytesPerSecond;
    if (rate === undefined) return 0;
    const now = this.#clock.monotonicNow();
    const paidAt = Math.max(this.#paidAt[direction], now - BURST_MS) + (bytes / rate) * 1000;
    this.#paidAt[direction] = paidAt;
    return paidAt - now;
  }
}
