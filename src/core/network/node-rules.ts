import type { NodeId } from "../../model/ids.ts";
import type { MapNode, NetworkMap } from "../../model/network-map.ts";
import type { Port } from "../../model/service.ts";
import { gatewayOf, parseSubnet } from "./address.ts";
import { IPV4, ipv6Of, type Family } from "./family.ts";
import { endpointRules } from "./endpoint-rules.ts";
import { isolationRules } from "./isolation-rules.ts";
import { tunnelOf, VXLAN_PORT, VXLAN_VNI } from "./links.ts";
import type { Chain, NamedSet, RuleTable } from "./rule-table.ts";
import { virtualRange } from "./subnets.ts";

const IPV6_TABLE = "ip6 orchd";

/** How the node's bridge stands. */
export interface BridgeState {
  /** Whether what one task here sends another one passes through the rules. */
  isFiltered: boolean;
  /** Whether tasks here may send packets that are too large for the way to other nodes. */
  isTight: boolean;
}

export interface NodeRulesOptions extends BridgeState {
  /** The node's bridge. */
  bridge: string;
  /** Whether the node answers on a published port: another program may have it. */
  isHeld(port: Port): boolean;
}

/** What the rules need to know of the node itself. */
interface Place extends BridgeState {
  family: Family;
  range: string;
  /** Where the virtual addresses of services are from. */
  virtual: string;
  subnet: string;
  /** The node's own address in the cluster's range. */
  gateway: string;
  bridge: string;
  /** Through which other nodes' tasks are reached; absent where that is no device of its own. */
  tunnel: string | undefined;
}

/**
 * The whole table of a node for IPv4: virtual addresses, published ports, and who may talk to whom.
 * Undefined where the map has no place for the node, as for one that has just been removed.
 */
export function nodeRules(
  map: NetworkMap,
  own: NodeId,
  options: NodeRulesOptions,
): RuleTable | undefined {
  return tableOf(map, own, options, IPV4);
}

/** The same for IPv6. Tasks that have no addresses of it get no way round the other rules. */
export function ipv6Rules(
  map: NetworkMap,
  own: NodeId,
  options: NodeRulesOptions,
): RuleTable | undefined {
  const { range6 } = map;
  return range6 === undefined
    ? noWayRound(options.bridge)
    : tableOf(map, own, options, ipv6Of(range6));
}

function noWayRound(bridge: string): RuleTable {
  const hook = "type filter hook forward priority filter - 5; policy accept;";
  const rules = [`iifname "${bridge}" drop`, `oifname "${bridge}" drop`];
  const chains = new Map([["forward", { hook, rules }]]);
  return { name: IPV6_TABLE, counters: new Set(), sets: new Map(), chains };
}

function tableOf(
  map: NetworkMap,
  own: NodeId,
  options: NodeRulesOptions,
  family: Family,
): RuleTable | undefined {
  const node = map.nodes.find(({ id }) => id === own);
  const subnet = parseSubnet(node?.subnet ?? "");
  if (node === undefined || subnet === undefined) return undefined;
  const place: Place = {
    family,
    range: family.network(map.range),
    virtual: family.network(virtualRange(map.range)),
    subnet: family.network(node.subnet),
    gateway: family.address(gatewayOf(subnet)),
    bridge: options.bridge,
    tunnel: tunnelOf(map.mode)?.name,
    isFiltered: options.isFiltered,
    isTight: options.isTight,
  };
  const endpoints = endpointRules(map, own, (port) => options.isHeld(port), family);
  const isolation = isolationRules(map, own, family);
  const chains = [endpoints.chains, isolation.chains, translation(place), filters(place)];
  return {
    name: `${family.name} orchd`,
    counters: endpoints.counters,
    sets: merged([endpoints.sets, isolation.sets, nodeSets(map, own, family)]),
    chains: merged(chains),
  };
}

function merged<T>(maps: readonly ReadonlyMap<string, T>[]): Map<string, T> {
  return new Map(maps.flatMap((map) => [...map]));
}

function nodeSets({ nodes, mode }: NetworkMap, own: NodeId, family: Family): Map<string, NamedSet> {
  const { name, type } = family;
  const others = nodes.filter(({ id }) => id !== own);
  const sets = new Map([
    ["nodes", { type, elements: new Set(gateways(others).map((one) => family.address(one))) }],
  ]);
  if (mode !== "vxlan" || name === "ip6") return sets;
  const peers = others.map(({ address }) => address).filter((text) => /^[\d.]+$/.test(text));
  return sets.set("peers", { type: "ipv4_addr", elements: new Set(peers) });
}

function gateways(nodes: readonly MapNode[]): string[] {
  return nodes.flatMap(({ subnet }) => {
    const parsed = parseSubnet(subnet);
    return parsed === undefined ? [] : [gatewayOf(parsed)];
  });
}

/** Where connections go, and whose address the other side sees. */
function translation(place: Place): Map<string, Chain> {
  const { family, range, virtual, subnet, gateway, bridge, isFiltered } = place;
  const { name: ip } = family;
  const isPublished = `ct status dnat ct original ${ip} daddr != ${virtual}`;
  const entry = [
    `${ip} daddr vmap @services`,
    ...(ip === "ip" ? [] : [`ip6 daddr { ${UNPUBLISHED.join(", ")}, ${virtual} } return`]),
    "fib daddr type local goto published_ports",
  ];
  return new Map<string, Chain>([
    [
      "published_ports",
      {
        rules: [
          ...(ip === "ip" ? ["ip daddr . meta l4proto . th dport vmap @published_at"] : []),
          "meta l4proto . th dport vmap @published",
        ],
      },
    ],
    [
      "prerouting",
      { hook: "type nat hook prerouting priority dstnat - 5; policy accept;", rules: entry },
    ],
    ["output", { hook: "type nat hook output priority -105; policy accept;", rules: entry }],
    [
      "postrouting",
      {
        hook: "type nat hook postrouting priority srcnat - 5; policy accept;",
        rules: [
          // A task that reaches itself through a service would not answer its own address.
          `${ip} saddr . ${ip} daddr @selves snat to ${gateway}`,
          ...ownPrograms(place),
          // A task elsewhere answers by way of the node on which the client came in.
          `${isPublished} ${ip} daddr ${range} ${ip} daddr != ${subnet} snat to ${gateway}`,
          `ct status dnat ${ip} saddr != ${range} ${ip} daddr ${range} ${ip} daddr != ${subnet} ` +
            `snat to ${gateway}`,
          // Without the bridge's help an answer would go past the rules that turn it back.
          ...(isFiltered
            ? []
            : [`ct status dnat ${ip} saddr ${subnet} ${ip} daddr ${subnet} snat to ${gateway}`]),
          // Tasks see each other's addresses: nothing after this changes them.
          `${ip} saddr ${range} ${ip} daddr ${range} snat to ${ip} saddr`,
          `${ip} saddr ${subnet} ${ip} daddr != ${family.multicast} oifname != "${bridge}" ` +
            "masquerade",
        ],
      },
    ],
  ]);
}

/** What the node's own programs send from an address to which nobody has a way back. */
function ownPrograms({ family, range, gateway, bridge, tunnel }: Place): string[] {
  if (family.name === "ip") {
    const own = tunnel === undefined ? `"${bridge}"` : `{ "${bridge}", "${tunnel}" }`;
    return [`oifname ${own} ip saddr 127.0.0.0/8 snat to ${gateway}`];
  }
  // No route says of IPv6 which address to send from, and the bridge may not be there.
  return tunnel === undefined
    ? []
    : [`oifname "${tunnel}" ip6 saddr != ${range} snat to ${gateway}`];
}

/** What passes; every other packet of a task, or for one, is dropped. */
function filters(place: Place): Map<string, Chain> {
  const { family, range, virtual, subnet, bridge, tunnel, isTight } = place;
  const { name: ip, control } = family;
  const isForward = "type filter hook forward priority filter - 5; policy accept;";
  const isOut = "type filter hook output priority filter - 5; policy accept;";
  const isTracked = "type filter hook prerouting priority mangle; policy accept;";
  const fromTunnel = tunnel === undefined ? [] : [`"${tunnel}"`];
  const inside = [`"${bridge}"`, ...fromTunnel].join(", ");
  return new Map<string, Chain>([
    ...(ip === "ip" ? [GUARD] : []),
    // What fits no connection is not translated: the machine, taking it for its own, would end the
    // connection with a reset. Dropped, it is sent again.
    [
      "unfit",
      { hook: isTracked, rules: [`ct state invalid ${ip} saddr ${range} meta l4proto tcp drop`] },
    ],
    [
      "forward",
      {
        hook: isForward,
        rules: [
          ...(isTight && tunnel !== undefined ? [clamp(tunnel)] : []),
          // Nearly all packets end here.
          "ct state established,related accept",
          ...(ip === "ip" ? [] : neighbours(place)),
          `${ip} saddr ${range} goto tasks`,
          `${ip} daddr ${range} goto tasks`,
        ],
      },
    ],
    [
      "tasks",
      {
        rules: [
          // Still virtual: no task is ready.
          `${ip} daddr ${virtual} goto nobody`,
          `iifname "${bridge}" ${ip} saddr != ${subnet} drop`,
          ...(tunnel === undefined ? [] : [`iifname != { ${inside} } ${ip} saddr ${range} drop`]),
          `ct status dnat ct original ${ip} daddr != ${virtual} goto from_outside`,
          `iifname != "${bridge}" ${ip} saddr @nodes accept`,
          `${ip} saddr vmap @senders`,
          `${ip} daddr vmap @receivers`,
          "drop",
        ],
      },
    ],
    ["from_outside", { rules: [`${ip} saddr @internal drop`, "accept"] }],
    [
      "nobody",
      {
        rules: [
          "meta l4proto tcp reject with tcp reset",
          `reject with ${control} type port-unreachable`,
        ],
      },
    ],
    ["sent", { hook: isOut, rules: [`${ip} daddr ${virtual} goto nobody`] }],
    ...received(place),
  ]);
}

/** Loopback addresses are routed here for published ports: nobody else may use that. */
const GUARD: [string, Chain] = [
  "guard",
  {
    hook: "type filter hook prerouting priority raw; policy accept;",
    rules: [`ip daddr 127.0.0.0/8 iifname != "lo" drop`],
  },
];

/** Addresses of a node by which IPv6 does not lead to a task: there is no way on from them. */
const UNPUBLISHED = ["::1", "fe80::/10"];

/**
 * Tasks of one node find each other's link addresses, and else use no address that is not theirs:
 * each has one of its link as well, and by those they would reach each other whatever they share.
 */
function neighbours({ bridge, subnet }: Place): string[] {
  const isBridged = `iifname "${bridge}" oifname "${bridge}"`;
  return [
    `${isBridged} icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`,
    `iifname "${bridge}" ip6 saddr != ${subnet} drop`,
    `${isBridged} ip6 daddr != ${subnet} drop`,
  ];
}

/** What comes to the node itself and is not for it. */
function received({ family, virtual, tunnel }: Place): [string, Chain][] {
  const hook = "type filter hook input priority filter - 5; policy accept;";
  // Its route is a local one: a program of the node would be taken for the service.
  if (family.name === "ip6") {
    return [["received", { hook, rules: [`ip6 daddr ${virtual} goto nobody`] }]];
  }
  // Whoever else sends such packets is none of the cluster; other networks on the port are left.
  if (tunnelOf("vxlan")?.name !== tunnel) return [];
  const isOurs = `udp dport ${VXLAN_PORT} @th,96,24 ${VXLAN_VNI}`;
  return [["received", { hook, rules: [`${isOurs} ip saddr != @peers drop`] }]];
}

/** Tells both sides of a TCP connection what gets through (RFC 9293, section 3.7.1). */
function clamp(tunnel: string): string {
  const isFirst = "tcp flags & (syn | rst) == syn";
  return `${isFirst} oifname "${tunnel}" tcp option maxseg size set rt mtu`;
}
