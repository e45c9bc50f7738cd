import type { NodeId } from "../../model/ids.ts";
import type { MapTask, NetworkMap } from "../../model/network-map.ts";
import { address6Of } from "./address6.ts";
import { portsAnswered } from "./endpoint-rules.ts";

/** Flows of UDP, and of TCP that nobody has answered, that the kernel is to choose for again. */
export interface StaleFlows {
  /** Those that were sent to one of these addresses, of both kinds, in place of another one. */
  addresses: ReadonlySet<string>;
  /** Those of UDP to one of these ports of the node that were sent to nobody else. */
  ports: ReadonlySet<number>;
  /** Whether there may be flows of IPv6. */
  hasIpv6: boolean;
}

/**
 * What the kernel remembers wrongly after the map has changed: flows to tasks that get no traffic
 * any more, and flows to published ports from the time when nobody was there for them. Undefined
 * when there is nothing of the kind. A client that goes on sending, or trying to connect, keeps to
 * the first choice for ever.
 */
export function staleFlows(
  before: NetworkMap | undefined,
  after: NetworkMap,
  own: NodeId,
): StaleFlows | undefined {
  if (before === undefined) return undefined;
  const is = readyAddresses(after.tasks);
  const was = readyAddresses(before.tasks);
  const { range6 } = after;
  const addresses = new Set<string>();
  for (const address of was) {
    if (is.has(address)) continue;
    addresses.add(address);
    if (range6 !== undefined) addresses.add(address6Of(range6, address));
  }
  const ports = new Set<number>();
  if ([...is].some((address) => !was.has(address))) {
    for (const { protocol, published } of portsAnswered(after, own)) {
      if (protocol === "udp") ports.add(published);
    }
  }
  const hasIpv6 = range6 !== undefined;
  return addresses.size === 0 && ports.size === 0 ? undefined : { addresses, ports, hasIpv6 };
}

function readyAddresses(tasks: readonly MapTask[]): Set<string> {
  return new Set(tasks.filter(({ isReady }) => isReady).map(({ address }) => address));
}
