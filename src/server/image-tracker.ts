import type { NodeId } from "../model/ids.ts";
import { formatServerAddress } from "../model/server-address.ts";

const BLOBS_MAX = 10_000;
const NAMED_MAX = 4;
/** A node that is getting a blob can pass it on to so many meanwhile, as it comes. */
const TAKERS = 2;

/** A node that wants a blob. */
export interface BlobAsked {
  digest: string;
  nodeId: NodeId;
  /** Its IP address. */
  host: string;
  /** Where it gives what it has to others; absent means nowhere. */
  port?: number | undefined;
  /** Whether its link is not to be used as far as it goes. */
  isCapped: boolean;
  /** Whether none of those that were named could give it: they are forgotten. */
  insist: boolean;
}

interface Holder {
  host: string;
  port: number;
  isCapped: boolean;
  /** How many were sent to it. */
  given: number;
}

/**
 * Which nodes have a blob or are getting it, as far as this server has sent them on their way: so
 * that it leaves a server once. In memory alone; a node that has it no more is found out by asking.
 */
export class ImageTracker {
  /** The oldest blob first; nodes in the order in which they came. */
  readonly #holders = new Map<string, Map<NodeId, Holder>>();

  /**
   * A node wants a blob. Answers whom to ask for it: those whose link is not capped and who are not
   * busy first, of these the nearest; nobody, when it is to get it from here.
   * Only nodes that came before are named, so that nobody waits for one who waits for it.
   */
  ask({ digest, nodeId, host, port, isCapped, insist }: BlobAsked): string[] {
    const holders = this.#holders.get(digest) ?? new Map<NodeId, Holder>();
    this.#holders.delete(digest);
    if (insist) holders.clear();
    const place = [...holders.keys()].indexOf(nodeId);
    const before = [...holders.values()].slice(0, place === -1 ? holders.size : place);
    const named = before.sort((a, b) => compareHolders(a, b, host)).slice(0, NAMED_MAX);
    const [first] = named;
    if (first !== undefined) first.given += 1;
    if (port !== undefined && place === -1) holders.set(nodeId, { host, port, isCapped, given: 0 });
    if (holders.size > 0) this.#holders.set(digest, holders);
    for (const oldest of this.#holders.keys()) {
      if (this.#holders.size <= BLOBS_MAX) break;
      this.#holders.delete(oldest);
    }
    return named.map((holder) => formatServerAddress(holder.host, holder.port));
  }
}

function compareHolders(a: Holder, b: Holder, host: string): number {
  const differ = [
    Number(a.isCapped) - Number(b.isCapped),
    busyOf(a) - busyOf(b),
    nearness(b.host, host) - nearness(a.host, host),
  ];
  return differ.find((difference) => difference !== 0) ?? 0;
}

/** Among those that can take on another one nobody is too busy. */
function busyOf({ given }: Holder): number {
  return given < TAKERS ? 0 : given;
}

/** How many leading parts two addresses share: those of one network share more. */
function nearness(a: string, b: string): number {
  const [parts, others] = [a.split(/[.:]/), b.split(/[.:]/)];
  const differs = parts.findIndex((part, at) => part !== others[at]);
  return differs === -1 ? parts.length : differs;
}
