import type { Links, Route, Tunnel } from "./links.ts";
import { ROUTE_METRIC, ROUTE_PROTOCOL, VXLAN_PORT, VXLAN_VNI } from "./links.ts";

/** What is there of the links, as the kernel tells it. */
export interface FoundLinks extends Omit<Links, "tunnel" | "address" | "peers"> {
  /** Devices with one of our names. */
  tunnels: readonly Tunnel[];
  /** Addresses that are the node's own by a route of ours. */
  addresses: readonly string[];
}

/** Lines for `ip -batch` and for `bridge -batch`, which come after those. */
export interface LinkChange {
  ip: string[];
  bridge: string[];
}

/**
 * The commands that make what is there equal to what is wanted, none when it is. What goes goes
 * first: a subnet that moved from one node to another is never in two places. A WireGuard device is
 * not made here: it may be a program's.
 */
export function planLinks(found: FoundLinks, wanted: Links): LinkChange {
  const change: LinkChange = { ip: [], bridge: [] };
  const kept = found.tunnels.find((tunnel) => isKept(tunnel, wanted.tunnel));
  for (const tunnel of found.tunnels) {
    if (tunnel !== kept) change.ip.push(`link del dev ${tunnel.name}`);
  }
  // Everything that hung on a device goes with it.
  const isGone = ({ device }: Route) =>
    found.tunnels.some((tunnel) => tunnel.name === device && tunnel !== kept);
  const routes = new Map([...found.routes].filter(([, route]) => !isGone(route)));
  const hung = kept?.kind === "vxlan" ? found : undefined;
  removeOld(change, { ...found, routes }, hung, wanted);
  addAddress(change, found, wanted);
  if (wanted.tunnel !== undefined) addTunnel(change, kept, wanted.tunnel);
  addNew(change, routes, hung, wanted);
  return change;
}

function isKept(tunnel: Tunnel, wanted: Tunnel | undefined): boolean {
  return tunnel.name === wanted?.name && tunnel.kind === wanted.kind;
}

function removeOld(
  { ip, bridge }: LinkChange,
  found: FoundLinks,
  hung: FoundLinks | undefined,
  wanted: Links,
): void {
  for (const [to, route] of found.routes) {
    if (!wanted.routes.has(to)) ip.push(`route del ${kindOf(route)}${to} proto ${ROUTE_PROTOCOL}`);
  }
  for (const [address] of hung?.neighbours ?? []) {
    if (!wanted.neighbours.has(address)) ip.push(`neigh del ${address} dev ${nameIn(wanted)}`);
  }
  for (const [mac, to] of hung?.forwarding ?? []) {
    if (wanted.forwarding.get(mac) === to) continue;
    bridge.push(`fdb del ${mac} dev ${nameIn(wanted)} dst ${to}`);
  }
}

function addAddress({ ip }: LinkChange, { addresses }: FoundLinks, { address }: Links): void {
  const local = (one: string) => `local ${one}/32 dev lo table local proto ${ROUTE_PROTOCOL}`;
  for (const old of addresses) if (old !== address) ip.push(`route del ${local(old)}`);
  if (address === undefined || addresses.includes(address)) return;
  ip.push(`route replace ${local(address)} metric ${ROUTE_METRIC}`);
}

function addTunnel({ ip }: LinkChange, had: Tunnel | undefined, wanted: Tunnel): void {
  const { name, kind, mtu, mac, local } = wanted;
  if (had === undefined) {
    // A program may have made it; whoever applies this does that before.
    if (kind === "wireguard") return;
    const from = local === undefined ? "" : ` local ${local}`;
    const type = `type vxlan id ${VXLAN_VNI} dstport ${VXLAN_PORT} nolearning${from}`;
    ip.push(`link add ${name} address ${mac} mtu ${mtu} ${type}`, `link set dev ${name} up`);
    return;
  }
  if (had.mtu !== mtu) ip.push(`link set dev ${name} mtu ${mtu}`);
  if (had.mac !== mac && mac !== undefined) ip.push(`link set dev ${name} address ${mac}`);
  if (kind === "vxlan" && had.local !== local) {
    ip.push(`link set dev ${name} type vxlan id ${VXLAN_VNI} local ${local ?? "0.0.0.0"}`);
  }
}

function addNew(
  { ip, bridge }: LinkChange,
  routes: ReadonlyMap<string, Route>,
  hung: FoundLinks | undefined,
  wanted: Links,
): void {
  const name = nameIn(wanted);
  for (const [address, mac] of wanted.neighbours) {
    if (hung?.neighbours.get(address) === mac) continue;
    ip.push(`neigh replace ${address} lladdr ${mac} dev ${name} nud permanent`);
  }
  for (const [mac, to] of wanted.forwarding) {
    if (hung?.forwarding.get(mac) !== to) bridge.push(`fdb append ${mac} dev ${name} dst ${to}`);
  }
  for (const [to, route] of wanted.routes) {
    const had = routes.get(to);
    if (had !== undefined && isSame(had, route)) continue;
    const onLink = wanted.tunnel?.kind === "vxlan" ? " onlink" : "";
    const via = route.via === undefined ? "" : ` via ${route.via}`;
    const source = route.source === undefined ? "" : ` src ${route.source}`;
    const rest = `${source} proto ${ROUTE_PROTOCOL} metric ${ROUTE_METRIC}`;
    ip.push(`route replace ${kindOf(route)}${to}${via} dev ${route.device}${via && onLink}${rest}`);
  }
}

function kindOf({ isLocal }: Route): string {
  return isLocal === true ? "local " : "";
}

function isSame(a: Route, b: Route): boolean {
  const isAlike = a.device === b.device && a.via === b.via && a.source === b.source;
  return isAlike && a.isLocal === b.isLocal;
}

function nameIn(wanted: Links): string {
  return wanted.tunnel?.name ?? "";
}
