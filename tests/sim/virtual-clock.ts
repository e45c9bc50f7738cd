import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Due {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

/**
 * Time that stands still until somebody moves it. Timers run in the order in which they are due,
 * those of one moment in the order in which they were set.
 */
export class VirtualClock implements Clock {
  readonly #heap: Due[] = [];
  #now: number;
  #order = 0;
  /** How many timers have run. */
  steps = 0;

  constructor(startMs: number) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonicNow(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Timer {
    const due: Due = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run };
    push(this.#heap, due);
    return { cancel: () => (due.run = undefined) };
  }

  /** Time passes and no timer runs, as while the process is stopped: they are late then. */
  sleep(ms: number): void {
    this.#now += ms;
  }

  /**
   * The timers of one process: none of them runs after it was killed.
   * @param skewMs by how much the clock of its machine is wrong now
   */
  process(skewMs: () => number = () => 0): ProcessClock {
    return new ProcessClock(this, skewMs);
  }

  /**
   * Runs the next timer, and everything that waits for it, unless it is due after `untilMs`.
   * Answers whether there was one.
   */
  async step(untilMs: number): Promise<boolean> {
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      if (next.run !== undefined && next.at > untilMs) break;
      pop(this.#heap);
      if (next.run === undefined) continue;
      this.#now = Math.max(this.#now, next.at);
      this.steps += 1;
      next.run();
      await settled();
      return true;
    }
    this.#now = Math.max(this.#now, untilMs);
    return false;
  }
}

export class ProcessClock implements Clock {
  readonly #clock: VirtualClock;
  #killed = false;
  #isPaused = false;
  /** What was due while the process was stopped. */
  #overdue: (() => void)[] = [];
  readonly #skewMs: () => number;

  constructor(clock: VirtualClock, skewMs: () => number) {
    this.#clock = clock;
    this.#skewMs = skewMs;
  }

  now(): number {
    return this.#clock.now() + this.#skewMs();
  }

  monotonicNow(): number {
    return this.#clock.monotonicNow();
  }

  after(delayMs: number, run: () => void): Timer {
    let isCancelled = false;
    const fire = () => {
      if (this.#killed || isCancelled) return;
      if (this.#isPaused) this.#overdue.push(fire);
      else run();
    };
    const timer = this.#clock.after(delayMs, fire);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Stops the process as SIGSTOP does: its timers run late. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const fire of this.#overdue) this.#clock.after(0, fire);
    this.#overdue = [];
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  kill(): void {
    this.#killed = true;
  }
}

/** Resolves when every promise that could go on has gone on: nothing here waits for the host. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Due[], due: Due): void {
  let at = heap.length;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !isBefore(due, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = due;
}

function pop(heap: Due[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    const right = heap[child + 1];
    let below = heap[child];
    if (below === undefined) break;
    if (right !== undefined && isBefore(right, below)) {
      child += 1;
      below = right;
    }
    if (!isBefore(below, last)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}
