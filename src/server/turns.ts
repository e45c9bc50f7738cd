import type { Clock } from "../lib/clock.ts";

/** Work that comes within this after the last piece belongs to the same turn. */
const GAP_MS = 5;

/**
 * Shares the event loop out: what comes in one turn and would take longer than the turn may last
 * waits for the next one, in the order in which it came. Others are answered in between, and what
 * the disk has to take stays small.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #turnMs: number;
  readonly #waiting: (() => void)[] = [];
  #startedAt = 0;
  #latestAt = 0;

  constructor(clock: Clock, turnMs: number) {
    this.#clock = clock;
    this.#turnMs = turnMs;
  }

  /** Does the work when there is time for it: at once, if there is now. */
  run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length === 0 && this.#hasTime()) return this.#do(work);
    return new Promise<T>((resolve) => {
      if (this.#waiting.length === 0) this.#clock.after(0, () => this.#next());
      this.#waiting.push(() => resolve(this.#do(work)));
    });
  }

  #hasTime(): boolean {
    const now = this.#clock.monotonicNow();
    if (now - this.#latestAt > GAP_MS) this.#startedAt = now;
    return now - this.#startedAt < this.#turnMs;
  }

  #do<T>(work: () => Promise<T>): Promise<T> {
    const result = work();
    this.#latestAt = this.#clock.monotonicNow();
    return result;
  }

  #next(): void {
    this.#startedAt = this.#clock.monotonicNow();
    for (const piece of this.#waiting.splice(0)) {
      if (this.#clock.monotonicNow() - this.#startedAt < this.#turnMs) piece();
      else this.#waiting.push(piece);
    }
    if (this.#waiting.length > 0) this.#clock.after(0, () => this.#next());
  }
}
