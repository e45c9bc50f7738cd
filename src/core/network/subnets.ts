import { formatAddress, parseSubnet } from "./address.ts";
import type { Node } from "../../model/node.ts";

/** The range of the machine on which the server runs. */
export const SERVER_SUBNET = "10.210.1.0/24";

/**
 * The lowest /24 of the cluster's range that no node has. The first one is kept for addresses that
 * belong to no node, the second one for the server's own machine.
 */
export function freeSubnet(nodes: Iterable<Node>): string | undefined {
  const taken = new Set([SERVER_SUBNET]);
  for (const { subnet } of nodes) if (subnet !== undefined) taken.add(subnet);
  for (let third = 1; third < 256; third++) {
    const subnet = `10.210.${third}.0/24`;
    if (!taken.has(subnet)) return subnet;
  }
  return undefined;
}

/** Where the virtual addresses of services are from: `10.210.240.0/20`. */
export function virtualRange(range: string): string {
  const parsed = parseSubnet(range);
  if (parsed === undefined) throw new Error(`${range} is no network`);
  const size = 2 ** (32 - parsed.prefix);
  return `${formatAddress(parsed.base + size - size / 16)}/${parsed.prefix + 4}`;
}
