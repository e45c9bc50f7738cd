import type { Clock, Timer } from "./clock.ts";

/** Smaller differences are the business of the system's own clock. */
const DIFFERENCE_MS = 30_000;
/** The floor is saved this often at most: the disk is a card that wears out. */
const SAVE_EVERY_MS = 24 * 60 * 60 * 1000;

export interface TrustedClockOptions {
  system: Clock;
  /** A time that has passed for certain, in ms since 1970: of a file, of an earlier life. */
  floor: number;
  /** Saves a later floor, for the next life. */
  onFloor(floor: number): void;
}

/**
 * A clock for machines whose own may be wrong: one without a battery starts in 1970, another was
 * set by hand to the wrong year. It is never below a time that has passed for certain, and follows
 * a server's clock where that differs much from the system's. When the system's clock is set right
 * later, the two agree again and the system's counts.
 */
export class TrustedClock implements Clock {
  readonly #options: TrustedClockOptions;
  #floor: number;
  /** A time that was told, with the monotonic time then. */
  #told: { at: number; monotonic: number } | undefined;

  constructor(options: TrustedClockOptions) {
    this.#options = options;
    this.#floor = options.floor;
  }

  /** Milliseconds since 1970: the best that is known. */
  now(): number {
    const system = this.#options.system.now();
    const told = this.#toldNow();
    const best = told === undefined || Math.abs(system - told) <= DIFFERENCE_MS ? system : told;
    // The monotonic clock counts in fractions, and times are whole milliseconds.
    return Math.round(Math.max(best, this.#floor));
  }

  monotonicNow(): number {
    return this.#options.system.monotonicNow();
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#options.system.after(delayMs, run);
  }

  /**
   * Takes the time of a server whose certificate was checked. A floor in the future, as after a
   * life with a clock that ran ahead, goes back to it.
   * @param serverNow milliseconds since 1970
   */
  learn(serverNow: number): void {
    this.#told = { at: serverNow, monotonic: this.monotonicNow() };
    const saved = this.#floor;
    if (saved > serverNow) this.#floor = serverNow;
    if (Math.abs(serverNow - saved) < SAVE_EVERY_MS) return;
    this.#floor = serverNow;
    this.#options.onFloor(serverNow);
  }

  /** How far the system's clock is ahead of what is known, in ms; 0 where nothing is known. */
  get systemErrorMs(): number {
    const told = this.#toldNow();
    return told === undefined ? 0 : this.#options.system.now() - told;
  }

  #toldNow(): number | undefined {
    if (this.#told === undefined) return undefined;
    return this.#told.at + this.monotonicNow() - this.#told.monotonic;
  }
}
