import type { NodeId } from "../model/ids.ts";

const BLOBS_MAX = 10_000;
const NAMED_MAX = 4;
/** A node that is getting a blob can pass it on to so many meanwhile, as it comes. */
const TAKERS = 2;

interface Holder {
  address: string;
  /** How many were sent to it. */
  given: number;
}

/**
 * Which nodes have a blob or are getting it, as far as this server has sent them on their way: so
 * that it leaves a server once. In memory alone; a node that has it no more is found out by asking.
 */
export class ImageTracker {
  /** The oldest blob first; nodes in the order in which they came, so nobody waits for the next. */
  readonly #holders = new Map<string, Map<NodeId, Holder>>();

  /**
   * A node wants a blob. Answers whom to ask for it, the best first; nobody, when it is to get it
   * from here.
   * @param node absent when it gives nothing to others
   * @param insist none of those could give it: they are forgotten
   */
  ask(digest: string, nodeId: NodeId, address: string | undefined, insist: boolean): string[] {
    const holders = this.#holders.get(digest) ?? new Map<NodeId, Holder>();
    this.#holders.delete(digest);
    if (insist) holders.clear();
    const others = [...holders].filter(([id]) => id !== nodeId).map(([, holder]) => holder);
    const free = others.filter(({ given }) => given < TAKERS);
    const busy = others.filter(({ given }) => given >= TAKERS);
    const named = [...free, ...busy.sort((a, b) => a.given - b.given)].slice(0, NAMED_MAX);
    const [first] = named;
    if (first !== undefined) first.given += 1;
    if (address !== undefined && !holders.has(nodeId)) holders.set(nodeId, { address, given: 0 });
    if (holders.size > 0) this.#holders.set(digest, holders);
    for (const oldest of this.#holders.keys()) {
      if (this.#holders.size <= BLOBS_MAX) break;
      this.#holders.delete(oldest);
    }
    return named.map((holder) => holder.address);
  }
}
