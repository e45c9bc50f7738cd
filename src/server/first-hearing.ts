import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { NodeId } from "../model/ids.ts";
import type { View } from "../model/view.ts";

/** For so long a cluster that was put back from a backup decides nothing. */
const HEAR_FIRST_MS = 30_000;

/** Whether this is the first start since the cluster was put back: nothing was committed since. */
export function wasJustRestored({ cluster, version }: View): boolean {
  return cluster?.restored?.to === version;
}

/**
 * When a server begins to decide: at once, but for a cluster that was just put back from a backup,
 * which first hears of its nodes what it forgot.
 */
export class FirstHearing {
  readonly #decide: () => void;
  #timer: Timer | undefined;
  #hasDecided = false;

  /** @param decide called once */
  constructor(decide: () => void) {
    this.#decide = decide;
  }

  begin(isRestored: boolean, clock: Clock, log: Log): void {
    if (!isRestored) return this.#end();
    const seconds = HEAR_FIRST_MS / 1000;
    log.info(`the cluster was put back from a backup: it hears its nodes first, for ${seconds} s`);
    this.#timer = clock.after(HEAR_FIRST_MS, () => this.#end());
  }

  /** A node was heard. Whoever waits for nodes waits no longer once all of them were. */
  onSession(view: View, isConnected: (nodeId: NodeId) => boolean): void {
    if (this.#timer === undefined || this.#hasDecided) return;
    const nodes = [...view.nodes.values()].filter(({ roles }) => roles.agent);
    if (nodes.every(({ id }) => isConnected(id))) this.#end();
  }

  close(): void {
    this.#timer?.cancel();
    this.#hasDecided = true;
  }

  #end(): void {
    this.#timer?.cancel();
    if (this.#hasDecided) return;
    this.#hasDecided = true;
    this.#decide();
  }
}
