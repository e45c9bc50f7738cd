/** So that services that take each other's room in turn do not keep a whole cluster busy. */
const EVICTIONS_MAX = 20;
const WINDOW_MS = 60_000;

/** How many tasks may be told to end for others: a few in each minute. */
export class EvictionBudget {
  /** When one was told, in ms since 1970; the oldest first. */
  #times: number[] = [];

  /** How many may be told at `now`. */
  left(now: number): number {
    // A clock that was set back must not hold them up for as long as it was wrong.
    this.#times = this.#times.filter((at) => at <= now && now - at < WINDOW_MS);
    return EVICTIONS_MAX - this.#times.length;
  }

  spend(count: number, now: number): void {
    for (let i = 0; i < count; i++) this.#times.push(now);
  }

  /** When more may be told than now. */
  growsAt(now: number): number {
    return (this.#times[0] ?? now) + WINDOW_MS;
  }
}
