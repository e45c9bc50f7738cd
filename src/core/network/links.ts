import { isPrivateAddress } from "./private-address.ts";
import type { NodeId } from "../../model/ids.ts";
import type { MapNode, NetworkMap, NetworkMode } from "../../model/network-map.ts";
import { gatewayOf, parseSubnet, type Subnet } from "./address.ts";
import { address6Of, subnet6Of } from "./address6.ts";
import { virtualRange } from "./subnets.ts";

export const VXLAN_VNI = 6770;
export const VXLAN_PORT = 8472;
export const WIREGUARD_PORT = 6771;
/** Marks routes as ours; a number that no program of note uses (iproute2's rt_protos). */
export const ROUTE_PROTOCOL = 210;
/** And this where the kernel does not tell whose a route is. */
export const ROUTE_METRIC = 6770;

/** IPv4, UDP, VXLAN and the inner Ethernet header (RFC 7348). */
const VXLAN_OVERHEAD = 50;
/** IPv6 may be outside: 40, UDP 8, and WireGuard's header and tag 32. */
const WIREGUARD_OVERHEAD = 80;
/** The least that an IPv4 host must take (RFC 791 asks for 576 in pieces; Linux for this). */
const MTU_MIN = 576;
/** And an IPv6 one (RFC 8200, section 5): with less room the tunnel's packets travel in pieces. */
const MTU_MIN_IPV6 = 1280;
/** Most routers forget a mapping for UDP after 30 s or more (RFC 4787 asks for 2 minutes). */
const KEEPALIVE_S = 25;

/** What the machine itself has between it and the other nodes. */
export interface Underlay {
  device: string;
  mtu: number;
  /** Whether the node's address is one of the machine, and not of a router before it. */
  isOwn: boolean;
}

/** The device through which other nodes' tasks are reached. */
export interface Tunnel {
  name: string;
  kind: "vxlan" | "wireguard";
  mtu: number;
  /** Of `vxlan`. */
  mac?: string;
  /** Where packets of `vxlan` come from; absent leaves it to the machine's routes. */
  local?: string;
}

export interface Route {
  to: string;
  device: string;
  /** The next hop. */
  via?: string;
  /** Of IPv4: an IPv6 one would have to be an address of a device. */
  source?: string;
  /** Whether the node itself takes what goes there. */
  isLocal?: boolean;
}

/** Another node as WireGuard knows it. */
export interface WireguardPeer {
  key: string;
  endpoint: string;
  /** Networks of its tasks, with commas between them. */
  allowed: string;
  /** Seconds; 0 means never. */
  keepalive: number;
}

/** What leads from a node to the tasks of others; all of it has a key, and no order. */
export interface Links {
  tunnel: Tunnel | undefined;
  /**
   * The node's own address in the cluster's range. A route alone makes it one, which stays whatever
   * becomes of the bridge; at a device, Podman would not make the bridge's network a second time.
   */
  address: string | undefined;
  /** By destination. */
  routes: ReadonlyMap<string, Route>;
  /** Link addresses behind the tunnel, by the node's address in the range. */
  neighbours: ReadonlyMap<string, string>;
  /** Addresses of nodes, by the link address behind the tunnel. */
  forwarding: ReadonlyMap<string, string>;
  /** By key. */
  peers: ReadonlyMap<string, WireguardPeer>;
}

export interface WantedLinks {
  links: Links;
  /** Nodes that can't be reached, and why; a sentence each. */
  problems: string[];
}

export const NO_LINKS: Links = {
  tunnel: undefined,
  address: undefined,
  routes: new Map(),
  neighbours: new Map(),
  forwarding: new Map(),
  peers: new Map(),
};

/** The device that a mode needs; none with `host-gw`. */
export function tunnelOf(mode: NetworkMode): Pick<Tunnel, "name" | "kind"> | undefined {
  if (mode === "vxlan") return { name: "orchd-vx", kind: "vxlan" };
  if (mode === "wireguard") return { name: "orchd-wg", kind: "wireguard" };
  return undefined;
}

/** The largest packet between tasks on nodes with that much room between them. */
export function mtuOf(
  { mode, range6 }: Pick<NetworkMap, "mode" | "range6">,
  underlayMtu: number,
): number {
  if (mode === "host-gw") return underlayMtu;
  const overhead = mode === "vxlan" ? VXLAN_OVERHEAD : WIREGUARD_OVERHEAD;
  const least = range6 === undefined ? MTU_MIN : MTU_MIN_IPV6;
  return Math.max(least, underlayMtu - overhead);
}

/** What a node needs so that its tasks reach those of all others, and nothing beside it. */
export function wantedLinks(map: NetworkMap, own: NodeId, underlay: Underlay): WantedLinks {
  const node = map.nodes.find(({ id }) => id === own);
  const subnet = parseSubnet(node?.subnet ?? "");
  if (node === undefined || subnet === undefined) return { links: NO_LINKS, problems: [] };
  const source = gatewayOf(subnet);
  const virtual = virtualRange(map.range);
  const routes = new Map<string, Route>([
    // A program on the node itself can't even ask for an address without a route to it.
    [virtual, { to: virtual, device: "lo", source }],
  ]);
  if (map.range6 !== undefined) {
    // The kernel takes a route by `lo` for one that leads nowhere, unless the node is at its end.
    const to = subnet6Of(map.range6, virtual);
    routes.set(to, { to, device: "lo", isLocal: true });
  }
  const made: Made = {
    routes,
    neighbours: new Map(),
    forwarding: new Map(),
    peers: new Map(),
    problems: [],
  };
  const others = map.nodes.filter(({ id }) => id !== own);
  for (const other of others) addNode(made, other, { map, source, underlay, node });
  const { problems, ...rest } = made;
  const tunnel = others.length === 0 ? undefined : newTunnel(map, node, subnet, underlay);
  return { links: { ...rest, tunnel, address: source }, problems };
}

interface Made {
  routes: Map<string, Route>;
  neighbours: Map<string, string>;
  forwarding: Map<string, string>;
  peers: Map<string, WireguardPeer>;
  problems: string[];
}

interface Whence {
  map: NetworkMap;
  source: string;
  underlay: Underlay;
  node: MapNode;
}

function addNode(made: Made, other: MapNode, { map, source, underlay, node }: Whence): void {
  const subnet = parseSubnet(other.subnet);
  if (subnet === undefined) return;
  const { mode, range6 } = map;
  const { address, subnet: to, hostname, wireguardKey: key } = other;
  const device = tunnelOf(mode)?.name ?? underlay.device;
  if (mode === "wireguard") {
    if (key === undefined || node.wireguardKey === undefined) {
      const who = node.wireguardKey === undefined ? "this node" : hostname;
      made.problems.push(`${hostname} is not reached: ${who} has no WireGuard; install wireguard`);
      return;
    }
    const host = address.includes(":") ? `[${address}]` : address;
    const keepalive = isBehindNat(node.address, address) ? KEEPALIVE_S : 0;
    const to6 = range6 === undefined ? [] : [subnet6Of(range6, to)];
    const allowed = [to, ...to6].join(",");
    made.peers.set(key, { key, endpoint: `${host}:${WIREGUARD_PORT}`, allowed, keepalive });
    made.routes.set(to, { to, device, source });
    for (const one of to6) made.routes.set(one, { to: one, device });
    return;
  }
  if (!/^[\d.]+$/.test(address)) {
    made.problems.push(
      `${hostname} is not reached: ${address} is no IPv4 address, which ${mode} needs`,
    );
    return;
  }
  if (mode === "host-gw") {
    made.routes.set(to, { to, device, via: address, source });
    return;
  }
  const via = gatewayOf(subnet);
  const mac = linkAddressOf(subnet);
  made.routes.set(to, { to, device, via, source });
  made.neighbours.set(via, mac);
  made.forwarding.set(mac, address);
  if (range6 === undefined) return;
  const [to6, via6] = [subnet6Of(range6, to), address6Of(range6, via)];
  made.routes.set(to6, { to: to6, device, via: via6 });
  made.neighbours.set(via6, mac);
}

function newTunnel(
  map: NetworkMap,
  node: MapNode,
  subnet: Subnet,
  underlay: Underlay,
): Tunnel | undefined {
  const { mode } = map;
  const kind = tunnelOf(mode);
  if (kind === undefined || (mode === "wireguard" && node.wireguardKey === undefined)) {
    return undefined;
  }
  const tunnel = { ...kind, mtu: mtuOf(map, underlay.mtu) };
  if (mode === "wireguard") return tunnel;
  const local = underlay.isOwn ? { local: node.address } : {};
  return { ...tunnel, mac: linkAddressOf(subnet), ...local };
}

/**
 * The link address of a node behind the tunnel: every node knows it from the subnet. The first
 * octet says that nobody else gives it out (IEEE 802: locally administered).
 */
function linkAddressOf({ base }: Subnet): string {
  const octets = [24, 16, 8, 0].map((shift) => (base >>> shift) & 255);
  return [0x06, 0x6f, ...octets].map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/**
 * Whether a router between the two knows nothing of this node but what it sent itself: then it must
 * go on sending, or the other one can't reach it.
 */
function isBehindNat(own: string, other: string): boolean {
  return isPrivateAddress(own) && !isPrivateAddress(other);
}
