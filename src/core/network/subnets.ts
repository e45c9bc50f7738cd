import type { Node } from "../../model/node.ts";
import {
  formatAddress,
  formatSubnet,
  isWithin,
  overlaps,
  parseSubnet,
  sizeOf,
  type Subnet,
} from "./address.ts";

/*
 * The address plan of a cluster, all of it from its range. Nodes get /24 networks from the low end.
 * The first one is kept for addresses that belong to no node, the second one is that of the
 * server's own machine. Virtual addresses of services are in the top sixteenth, which no node gets.
 */

const NODE_PREFIX = 24;
const NODE_SIZE = 2 ** (32 - NODE_PREFIX);
const VIRTUAL_SHARE = 16;
/** The smallest range has room for fifteen nodes less two, and 254 services. */
const RANGE_PREFIX_MAX = 20;
const RANGE_PREFIX_MIN = 8;

/** What no network of tasks can be made of: this host, loopback, link-local. */
const RESERVED = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16"];
/** From here on addresses are for multicast, or nobody's. */
const MULTICAST = 224 * 2 ** 24;

export const RANGE_RULE =
  `must be an IPv4 network of ${RANGE_PREFIX_MIN} to ${RANGE_PREFIX_MAX} bits that private ` +
  "networks may use, such as 10.210.0.0/16 or 172.30.0.0/16";

/** Reads the range of a cluster, `10.210.0.0/16`; undefined where it breaks `RANGE_RULE`. */
export function parseRange(text: string): Subnet | undefined {
  const range = parseSubnet(text);
  if (range === undefined || formatSubnet(range) !== text) return undefined;
  if (range.prefix < RANGE_PREFIX_MIN || range.prefix > RANGE_PREFIX_MAX) return undefined;
  const isReserved = RESERVED.some((one) => overlaps(networkOf(one), range));
  return isReserved || range.base >= MULTICAST ? undefined : range;
}

/** The network of the machine on which the server runs. */
export function serverSubnet(range: string): string {
  return formatSubnet(nodeSubnet(networkOf(range), 1));
}

/** The lowest network of the range that no node has; undefined when all are taken. */
export function freeSubnet(range: string, nodes: Iterable<Node>): string | undefined {
  const whole = networkOf(range);
  const taken = new Set([serverSubnet(range)]);
  for (const { subnet } of nodes) if (subnet !== undefined) taken.add(subnet);
  const count = (sizeOf(whole) - sizeOf(networkOf(virtualRange(range)))) / NODE_SIZE;
  for (let i = 1; i < Math.floor(count); i++) {
    const subnet = formatSubnet(nodeSubnet(whole, i));
    if (!taken.has(subnet)) return subnet;
  }
  return undefined;
}

/** Where the virtual addresses of services are from: `10.210.240.0/20`. */
export function virtualRange(range: string): string {
  const whole = networkOf(range);
  const size = sizeOf(whole) / VIRTUAL_SHARE;
  return formatSubnet({ base: whole.base + sizeOf(whole) - size, prefix: whole.prefix + 4 });
}

/**
 * A virtual address that no service has, or undefined when all are taken. Where the search begins
 * follows from `seed`, the service's id: an address that was given back is seldom the next one,
 * while clients may still know it as another service's.
 */
export function freeVirtualIp(
  range: string,
  taken: ReadonlySet<string>,
  seed: string,
): string | undefined {
  const { base, prefix } = networkOf(virtualRange(range));
  // The first and the last address of a network look like mistakes to many programs.
  const count = sizeOf({ base, prefix }) - 2;
  const start = hashOf(seed) % count;
  for (let i = 0; i < count; i++) {
    const address = formatAddress(base + 1 + ((start + i) % count));
    if (!taken.has(address)) return address;
  }
  return undefined;
}

/** Whether the address is a virtual one of this range. */
export function isVirtual(range: string, address: string): boolean {
  return isWithin(networkOf(virtualRange(range)), address);
}

function nodeSubnet({ base }: Subnet, index: number): Subnet {
  return { base: base + index * NODE_SIZE, prefix: NODE_PREFIX };
}

/** A range that was checked when the cluster was made. */
function networkOf(text: string): Subnet {
  const parsed = parseSubnet(text);
  if (parsed === undefined) throw new Error(`${text} is no network`);
  return parsed;
}

/** FNV-1a, 32 bits (draft-eastlake-fnv). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return hash;
}
