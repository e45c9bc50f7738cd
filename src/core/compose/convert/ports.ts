import { PORTS_MAX, STICKY_MAX_MS } from "../../../model/service.ts";
import type { Port, ServiceSpec } from "../../../model/service.ts";
import { quoted } from "../problem.ts";
import { isIpv4, isIpv6, withoutBrackets } from "./addresses.ts";
import type { Cursor } from "./cursor.ts";
import { networkOwnerOf } from "./network.ts";

const PORT_MAX = 65_535;
const NAME_LENGTH_MAX = 63;

/** A published port, with the place of what asked for it. */
export interface PlacedPort {
  port: Port;
  at: Cursor;
}

/** What a service publishes, each port of a range by itself. */
export function portsOf(service: Cursor): PlacedPort[] {
  const list = service.get("ports");
  if (list === undefined) return [];
  const mode = service.get("network_mode")?.text();
  const owner = networkOwnerOf(service);
  if (owner !== undefined) {
    list.error(`does not go with network_mode service:${owner}: publish it on ${owner}`);
    return [];
  }
  if (mode === "host") {
    list.warn("has no effect with network_mode host: the program opens ports of the node itself");
    return [];
  }
  if (mode === "none" && list.items().length > 0) {
    list.error("can't be had with network_mode none");
    return [];
  }
  const placed: PlacedPort[] = [];
  for (const at of list.items()) {
    for (const port of at.isMap ? longPort(at) : shortPort(at)) placed.push({ port, at });
    if (placed.length > PORTS_MAX) {
      list.error(`asks for more than ${PORTS_MAX} ports`);
      return [];
    }
  }
  refuseTwice(placed);
  return placed;
}

/** `dnsrr` where that is asked for; a name that stands for tasks can't be published everywhere. */
export function endpointModeOf(
  service: Cursor,
  ports: readonly PlacedPort[],
): ServiceSpec["endpointMode"] {
  const mode = service.get("deploy")?.get("endpoint_mode");
  const text = mode?.text();
  if (mode === undefined || text === undefined || text === "vip") return undefined;
  if (text !== "dnsrr") return mode.error(`must be vip or dnsrr, not ${quoted(text)}`);
  if (ports.some(({ port }) => port.mode === "ingress")) {
    mode.error("can't be dnsrr with ports that every node publishes; publish them in mode: host");
  }
  return "dnsrr";
}

/** For how long a client's connections go to the same task. */
export function stickyMsOf(service: Cursor): number | undefined {
  const sticky = service.get("x-orchd")?.get("sticky");
  const ms = sticky?.durationMs();
  if (ms === undefined || (ms >= 1000 && ms <= STICKY_MAX_MS)) return ms;
  return sticky?.error("must be a time from 1s to 24h");
}

const SHORT = /^(?:(\[[^\]]*\]|[^:/[\]]*):)?(?:([^:/]*):)?([^:/]+)(?:\/([a-z]+))?$/i;

/** `[[HOST_IP:][PUBLISHED]:]TARGET[/PROTOCOL]`, where ports may be ranges. */
function shortPort(at: Cursor): Port[] {
  const written = at.text() ?? "";
  const [, first, second, target = "", protocol = "tcp"] = SHORT.exec(written) ?? [];
  // With one colon, what stands before it is the published port.
  const [hostIp, published] = second === undefined ? [undefined, first] : [first, second];
  if (target === "") return refuseForm(at, written);
  const targets = rangeOf(target);
  const publisheds = published === undefined || published === "" ? undefined : rangeOf(published);
  if (targets === undefined || (published && publisheds === undefined)) {
    return refuseForm(at, written);
  }
  const common = commonOf({ at, protocol, mode: "ingress", hostIp });
  return common === undefined ? [] : portRange(at, targets, publisheds, common);
}

function refuseForm(at: Cursor, written: string): [] {
  at.error(
    `must be a port such as "8080:80", "127.0.0.1:8080:80/udp" or "8000-8003:80-83", with ports ` +
      `from 1 to ${PORT_MAX}, not ${quoted(written)}`,
  );
  return [];
}

function longPort(at: Cursor): Port[] {
  const target = at.get("target");
  if (target === undefined) {
    if (!at.has("target")) at.error("needs a target");
    return [];
  }
  const number = target.integer(1, PORT_MAX);
  const published = publishedOf(at);
  const common = commonOf({
    at,
    protocol: at.get("protocol")?.text() ?? "tcp",
    mode: at.get("mode")?.text() ?? "ingress",
    hostIp: at.get("host_ip")?.text(),
  });
  if (number === undefined || published === "bad" || common === undefined) return [];
  const parse = (text: string) => (text.length <= NAME_LENGTH_MAX ? text : undefined);
  const name = at.get("name")?.parsed(parse, `must have at most ${NAME_LENGTH_MAX} characters`);
  const range = { first: number, last: number };
  return portRange(at, range, published, name === undefined ? common : { ...common, name });
}

function publishedOf(at: Cursor): Range | undefined | "bad" {
  const published = at.get("published");
  const text = published?.text() ?? "";
  if (published === undefined || text === "") return undefined;
  const range = rangeOf(text);
  if (range !== undefined) return range;
  published.error(`must be a port from 1 to ${PORT_MAX}, not ${quoted(text)}`);
  return "bad";
}

interface Range {
  first: number;
  last: number;
}

/** `80` or `80-83`; undefined when it is neither, or no port. */
function rangeOf(text: string): Range | undefined {
  const [, from, to] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(text) ?? [];
  if (from === undefined) return undefined;
  const first = Number(from);
  const last = Number(to ?? from);
  return first >= 1 && last <= PORT_MAX && first <= last ? { first, last } : undefined;
}

type Common = Omit<Port, "target" | "published">;

interface CommonOptions {
  at: Cursor;
  protocol: string;
  mode: string;
  hostIp: string | undefined;
}

/** What all ports of one item share; undefined, with a problem told, when it can't be had. */
function commonOf({ at, protocol, mode, hostIp }: CommonOptions): Common | undefined {
  const lower = protocol.toLowerCase();
  if (lower !== "tcp" && lower !== "udp") {
    return at.error(`has the protocol ${quoted(protocol)}; tcp and udp can be published`);
  }
  if (mode !== "ingress" && mode !== "host") {
    return at.error(`has the mode ${quoted(mode)}; it must be ingress or host`);
  }
  const address = hostIp === undefined ? "" : withoutBrackets(hostIp);
  if (isIpv6(address)) {
    return at.refuse(
      "publishes on an IPv6 address; a port is published on all addresses or on one of IPv4",
    );
  }
  // All addresses of the node, which is what no address means as well.
  if (address === "" || address === "0.0.0.0") return { protocol: lower, mode };
  if (!isIpv4(address)) return at.error(`has ${quoted(address)}, which is not an IP address`);
  return { protocol: lower, mode, hostIp: address };
}

/** One port for each of the range; published ones pair up, and left out ones are picked later. */
function portRange(
  at: Cursor,
  targets: Range,
  published: Range | undefined,
  common: Common,
): Port[] {
  const length = targets.last - targets.first;
  if (published !== undefined && published.last - published.first !== length) {
    at.error("pairs ranges of different lengths; leave the published one out to have one picked");
    return [];
  }
  if (length >= PORTS_MAX) {
    at.error(`asks for more than ${PORTS_MAX} ports`);
    return [];
  }
  return Array.from({ length: length + 1 }, (_, i) => ({
    target: targets.first + i,
    published: published === undefined ? 0 : published.first + i,
    ...common,
  }));
}

function refuseTwice(placed: readonly PlacedPort[]): void {
  const seen = new Set<string>();
  for (const { port, at } of placed) {
    if (port.published === 0) continue;
    const key = `${port.hostIp ?? ""}/${port.published}/${port.protocol}`;
    if (seen.has(key)) at.error(`publishes ${port.published}/${port.protocol} a second time`);
    seen.add(key);
  }
}

/**
 * Refuses ports that two services of the stack publish. In mode `host` they may, since placement
 * keeps them on different nodes.
 */
export function refuseSharedPorts(services: ReadonlyMap<string, readonly PlacedPort[]>): void {
  const owners = new Map<string, { service: string; mode: Port["mode"] }>();
  for (const [service, placed] of services) {
    for (const { port, at } of placed) {
      if (port.published === 0) continue;
      const key = `${port.published}/${port.protocol}`;
      const owner = owners.get(key);
      if (owner === undefined) owners.set(key, { service, mode: port.mode });
      else if (owner.service !== service && !(owner.mode === "host" && port.mode === "host")) {
        at.error(`publishes ${key}, which the service ${quoted(owner.service)} publishes already`);
      }
    }
  }
}
