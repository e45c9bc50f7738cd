import type { Clock, Timer } from "../lib/clock.ts";
import type { NodeId } from "../model/ids.ts";

/** A server that has not noticed by then that a node is dead knows better: it hears that node. */
const OVERRULED_AFTER_MS = 15_000;

export interface DepartedOptions {
  clock: Clock;
  /** Whether a session with a server is under way. */
  isLed(): boolean;
  /** `nodes` has changed by itself. */
  onChange(): void;
}

/**
 * The nodes that gossip says are gone. Without a server that counts for as long as gossip says so.
 * With one it counts until the server has had time to notice too: where gossip is blocked on the
 * way to a node that the server has a session with, what the server says of its tasks is right.
 */
export class Departed {
  readonly nodes = new Set<NodeId>();
  readonly #options: DepartedOptions;
  readonly #overruled = new Set<NodeId>();
  readonly #timers = new Map<NodeId, Timer>();

  constructor(options: DepartedOptions) {
    this.#options = options;
  }

  /** Answers whether that is news. */
  note(nodeId: NodeId, isGone: boolean): boolean {
    const isKnown = this.nodes.has(nodeId) || this.#overruled.has(nodeId);
    if (isGone === isKnown) return false;
    this.#timers.get(nodeId)?.cancel();
    this.#timers.delete(nodeId);
    if (isGone) {
      this.nodes.add(nodeId);
      this.#overruleLater(nodeId);
      return true;
    }
    this.#overruled.delete(nodeId);
    return this.nodes.delete(nodeId);
  }

  /** A session begins. */
  onLed(): void {
    for (const nodeId of this.nodes) this.#overruleLater(nodeId);
  }

  /** There is no session any more: gossip alone tells. */
  onLost(): void {
    if (this.#overruled.size === 0) return;
    for (const nodeId of this.#overruled) this.nodes.add(nodeId);
    this.#overruled.clear();
    this.#options.onChange();
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #overruleLater(nodeId: NodeId): void {
    if (!this.#options.isLed() || this.#timers.has(nodeId)) return;
    const timer = this.#options.clock.after(OVERRULED_AFTER_MS, () => {
      this.#timers.delete(nodeId);
      if (!this.#options.isLed() || !this.nodes.delete(nodeId)) return;
      this.#overruled.add(nodeId);
      this.#options.onChange();
    });
    this.#timers.set(nodeId, timer);
  }
}
