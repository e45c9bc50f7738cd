import { sortedBy } from "../../lib/order.ts";
import type { Port } from "../../model/service.ts";

/** A task on this node that answers on a published port. */
export interface PublishedEndpoint {
  port: Port;
  /** The task's address on the node's bridge. */
  address: string;
}

/** The node's own bridge, as the rules need it. */
export interface IngressNetwork {
  interfaceName: string;
  subnet: string;
}

const TABLE = "orchd";
/** The chain whose rules stand for one published port each, with the port as their comment. */
export const PUBLISHED_CHAIN = `ip ${TABLE} published`;

/**
 * The whole nftables table that spreads published ports over their endpoints, as a script for
 * `nft -f -`. It replaces the table in one step, so no packet ever sees half of it. Connections
 * that are established keep their endpoint: the kernel remembers it for each. Without endpoints
 * the script takes the table away.
 */
export function formatIngress(
  endpoints: readonly PublishedEndpoint[],
  network: IngressNetwork,
): string {
  const rules = portRules(endpoints);
  if (rules.length === 0) return `table ip ${TABLE} {}\ndelete table ip ${TABLE}\n`;
  const { interfaceName, subnet } = network;
  return [
    `table ip ${TABLE} {}`,
    `delete table ip ${TABLE}`,
    `table ip ${TABLE} {`,
    "  chain published {",
    ...rules.map((rule) => `    ${rule}`),
    "  }",
    "  chain prerouting {",
    "    type nat hook prerouting priority dstnat - 5; policy accept;",
    "    fib daddr type local jump published",
    "  }",
    "  chain output {",
    "    type nat hook output priority -105; policy accept;",
    "    fib daddr type local jump published",
    "  }",
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat - 5; policy accept;",
    "    # A task has no route back to a loopback address, nor to itself through its node.",
    `    oifname "${interfaceName}" ip saddr 127.0.0.0/8 masquerade`,
    `    oifname "${interfaceName}" ip saddr ${subnet} ct status dnat masquerade`,
    "  }",
    "}",
    "",
  ].join("\n");
}

function portRules(endpoints: readonly PublishedEndpoint[]): string[] {
  const byPort = Map.groupBy(endpoints, ({ port }) =>
    [port.hostIp ?? "", port.protocol, port.published].join(" "),
  );
  const groups = sortedBy(byPort, ([key]) => key);
  return groups.map(([, group]) => portRule(sortedBy(group, (endpoint) => endpoint.address)));
}

/** One published port: each new connection goes to an endpoint drawn at random. */
function portRule(group: readonly PublishedEndpoint[]): string {
  const port = group[0]?.port;
  if (port === undefined) return "";
  // The rule sees the first packet of a connection alone: its counter counts connections.
  const name = `comment "${port.published}/${port.protocol}"`;
  const only = port.hostIp === undefined ? "" : `ip daddr ${port.hostIp} `;
  const match = `${only}${port.protocol} dport ${port.published} counter`;
  if (group.length === 1) {
    return `${match} dnat to ${group[0]?.address}:${port.target} ${name}`;
  }
  const targets = group.map(({ address, port: { target } }, i) => `${i} : ${address} . ${target}`);
  return `${match} dnat to numgen random mod ${group.length} map { ${targets.join(", ")} } ${name}`;
}
