import type { Context } from "./context.ts";
import type { Member } from "./member.ts";
import type { Alive } from "./messages.ts";
import { INCARNATION_MAX } from "./limits.ts";
import type { Timer } from "./timer-queue.ts";

/** Refutations that may follow one another at once; then one each probe interval. */
const BURST = 4;

export function aliveOf({ incarnation, node, address, meta, versions }: Member): Alive {
  return { type: "alive", incarnation, node, address, meta, versions };
}

/**
 * Contradicts what others say about this member, with a higher incarnation. Only so often: however
 * many accusations arrive, what is sent about them does not grow.
 */
export class Refutation {
  readonly #context: Context;
  #tokens = BURST;
  #countedAt: number;
  /** The highest incarnation that is still to be contradicted. */
  #accused: number | undefined;
  #timer: Timer<() => void> | undefined;

  constructor(context: Context) {
    this.#context = context;
    this.#countedAt = context.now;
  }

  /** Answers an accusation of this incarnation, now or as soon as it may. */
  against(incarnation: number): void {
    this.#accused = Math.max(incarnation, this.#accused ?? 0);
    if (this.#timer !== undefined) return;
    if (this.#takeToken()) return this.#refute();
    const at = this.#countedAt + this.#context.tuning.probeIntervalMs;
    this.#timer = this.#context.at(at, () => {
      this.#timer = undefined;
      this.#takeToken();
      this.#refute();
    });
  }

  #takeToken(): boolean {
    const { now, tuning } = this.#context;
    const earned = Math.floor((now - this.#countedAt) / tuning.probeIntervalMs);
    this.#countedAt += earned * tuning.probeIntervalMs;
    this.#tokens = Math.min(BURST, this.#tokens + earned);
    if (this.#tokens === BURST) this.#countedAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #refute(): void {
    const context = this.#context;
    const accused = this.#accused;
    this.#accused = undefined;
    if (accused === undefined || context.hasLeft) return;
    context.awareness.change(1);
    const { self } = context;
    const incarnation = Math.min(INCARNATION_MAX, Math.max(self.incarnation, accused) + 1);
    context.roster.put({ ...self, incarnation });
    context.broadcast(aliveOf(context.self));
  }
}
