/** Time as the roles see it; the core gets `now` as an argument instead. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number;
  /** Milliseconds since some moment; never goes back and never jumps, whatever people set. */
  monotonicNow(): number;
  /** Runs `run` once, `delayMs` from now, unless it is cancelled first. */
  after(delayMs: number, run: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

/** Timers longer than this overflow `setTimeout`; waiting again is the caller's business. */
export const TIMER_MAX_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicNow: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(Math.max(0, delayMs), TIMER_MAX_MS));
    return { cancel: () => clearTimeout(handle) };
  },
};
