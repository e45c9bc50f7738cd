import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";

/** What a controller wants after one look at a key. */
export interface Outcome {
  /** Look again at this time (ms since 1970) if nothing touches the key before. */
  wakeAt?: number;
}

export interface ControllerOptions<Key> {
  /** For the log. */
  name: string;
  clock: Clock;
  log: Log;
  /** Looks at one key afresh and makes it nearer to what it should be. */
  work(key: Key): Promise<Outcome>;
}

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 30_000;
/** Timers don't follow a clock that is set; a look too many costs nothing. */
const WAIT_MAX_MS = 60_000;
/** After so long the rest waits for the next turn, so that requests and agents are answered. */
const TURN_MS = 25;
/** A look that takes this long is a dear one. */
const DEAR_MS = 5;
/** After a dear look the next dear one waits so many times as long, and what comes is gathered. */
const REST_FACTOR = 4;

/**
 * Runs a level-triggered function over the keys that something touched. Of many touches of a key
 * while it waits, or is worked at, one more look remains.
 */
export class Controller<Key> {
  readonly #options: ControllerOptions<Key>;
  readonly #waiting = new Set<Key>();
  readonly #working = new Set<Key>();
  readonly #timers = new Map<Key, Timer>();
  /** Keys whose last look failed: how often in a row, and why. */
  readonly #failures = new Map<Key, { count: number; trouble: Trouble }>();
  /** Keys of which the last look was a dear one. */
  readonly #dear = new Set<Key>();
  /** The latest dear look: when it ended, and what it took. */
  #latestDear = { at: 0, tookMs: 0 };
  #resting: Timer | undefined;
  #scheduled = false;
  #closed = false;

  constructor(options: ControllerOptions<Key>) {
    this.#options = options;
  }

  /** Says that something about the key may have changed. */
  touch(key: Key): void {
    if (this.#closed) return;
    this.#waiting.add(key);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#drain());
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#resting?.cancel();
  }

  #drain(): void {
    this.#scheduled = false;
    const { clock } = this.#options;
    const start = clock.monotonicNow();
    for (const key of this.#waiting) {
      if (this.#working.has(key)) continue;
      const now = clock.monotonicNow();
      if (now - start >= TURN_MS) {
        this.#scheduled = true;
        return this.#drainAfter(0);
      }
      const restMs = this.#dear.has(key) ? this.#restMs(now) : 0;
      if (restMs > 0) {
        this.#drainAfter(restMs);
        continue;
      }
      this.#waiting.delete(key);
      void this.#look(key);
      this.#noteCost(key, clock.monotonicNow() - now);
    }
  }

  #drainAfter(delayMs: number): void {
    if (this.#closed) return;
    this.#resting?.cancel();
    this.#resting = this.#options.clock.after(delayMs, () => this.#drain());
  }

  /**
   * The cost of a look grows with what the key stands for, and touches come with each change of
   * that. Where looks are dear they take a fifth of the time, and each sees more changes.
   */
  #noteCost(key: Key, tookMs: number): void {
    if (tookMs < DEAR_MS) return void this.#dear.delete(key);
    this.#dear.add(key);
    this.#latestDear = { at: this.#options.clock.monotonicNow(), tookMs };
  }

  /** How long the next dear look has to wait. */
  #restMs(now: number): number {
    const { at, tookMs } = this.#latestDear;
    return Math.max(0, at + REST_FACTOR * tookMs - now);
  }

  async #look(key: Key): Promise<void> {
    if (this.#closed) return;
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
    this.#working.add(key);
    try {
      const { wakeAt } = await this.#options.work(key);
      this.#failures.get(key)?.trouble.over();
      this.#failures.delete(key);
      if (wakeAt !== undefined) this.#touchAfter(key, wakeAt - this.#options.clock.now());
    } catch (error) {
      this.#retry(key, error);
    } finally {
      this.#working.delete(key);
      if (this.#waiting.has(key)) this.touch(key);
    }
  }

  /** A full disk or a busy store passes: what was to do is still to do. */
  #retry(key: Key, error: unknown): void {
    const { name, log } = this.#options;
    const what = `${name} ${String(key)}`;
    const { count, trouble } = this.#failures.get(key) ?? {
      count: 0,
      trouble: new Trouble(log, `${what} is as it should be again`),
    };
    this.#failures.set(key, { count: count + 1, trouble });
    const delayMs = Math.min(RETRY_FIRST_MS * 2 ** count, RETRY_MAX_MS);
    trouble.note(`${what} is tried again: ${messageChainOf(error)}`);
    this.#touchAfter(key, delayMs);
  }

  #touchAfter(key: Key, delayMs: number): void {
    if (this.#closed) return;
    this.#timers.get(key)?.cancel();
    this.#timers.set(
      key,
      this.#options.clock.after(Math.min(Math.max(0, delayMs), WAIT_MAX_MS), () => this.touch(key)),
    );
  }
}
