import type { Clock } from "../../lib/clock.ts";

/** Resolves after `delayMs`, or as soon as `signal` aborts. */
export function waitFor(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}
