import type { Clock } from "../lib/clock.ts";

/** Wakes one waiter; beats that come while nobody waits are remembered as one. */
export class Pulse {
  readonly #signal: AbortSignal;
  #pending = false;
  #wake: (() => void) | undefined;

  /** @param signal when it aborts, waiting is over for good */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.beat(), { once: true });
  }

  /** Something changed: look again. */
  beat(): void {
    this.#pending = true;
    this.#wake?.();
  }

  /** Resolves at the next beat; at once if one came since the last wait, or after the abort. */
  async next(): Promise<void> {
    if (!this.#pending && !this.#signal.aborted) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    this.#pending = false;
  }
}

/** Resolves after `delayMs`, or on abort. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal.addEventListener("abort", done);
  });
}
