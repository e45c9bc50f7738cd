import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import type { FoundLinks, LinkChange } from "../core/network/link-change.ts";
import { ROUTE_PROTOCOL, tunnelOf } from "../core/network/links.ts";
import type { Route, Tunnel, Underlay } from "../core/network/links.ts";
import { complaintOf, runProgram, type ProgramOutput } from "./program.ts";

const whatFor = "so tasks on other nodes are not reached (Debian: apt install iproute2)";
const IP = { name: "ip", whatFor };
const BRIDGE = { name: "bridge", whatFor };

/** Used where the machine has no interface that tells one: that of Ethernet. */
const MTU_DEFAULT = 1500;
const TUNNELS = [tunnelOf("vxlan"), tunnelOf("wireguard")].flatMap((one) => one ?? []);

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.number().optional(),
  address: z.string().optional(),
  linkinfo: z
    .object({
      info_data: z
        .object({
          local: z.string().optional(),
          nf_call_iptables: z.number().optional(),
          nf_call_ip6tables: z.number().optional(),
        })
        .optional(),
    })
    .optional(),
});
const addressedSchema = z.object({
  ifname: z.string(),
  mtu: z.number(),
  addr_info: z.array(z.object({ local: z.string(), prefixlen: z.number() })),
});
const routeSchema = z.object({
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
  prefsrc: z.string().optional(),
  type: z.string().optional(),
});
const neighbourSchema = z.object({
  dst: z.string(),
  dev: z.string(),
  lladdr: z.string().default(""),
});
const forwardingSchema = z.object({ mac: z.string(), dst: z.string().optional() });
const portSchema = z.object({
  ifname: z.string(),
  master: z.string().optional(),
  hairpin: z.boolean().optional(),
});

/** How the node's bridge stands; absent while it has none. */
export interface FoundBridge {
  /** Whether packets between its ports pass through the rules. */
  isFiltered: boolean;
  mtu: number;
  /** Ports that never give a packet back to where it came from. */
  straightPorts: string[];
}

export interface FoundNetwork {
  links: FoundLinks;
  bridge: FoundBridge | undefined;
}

/**
 * What is there of a node's links.
 * @param hasIpv6 whether some of them may be of IPv6
 * @throws OrchdError `runtime` when iproute2 is not installed or can't tell
 */
export async function readNetwork(bridge: string, hasIpv6: boolean): Promise<FoundNetwork> {
  const names = [...TUNNELS.map(({ name }) => name), bridge];
  const ours = `proto ${ROUTE_PROTOCOL}`;
  // What is not there is told on the side, and what is there all the same.
  const words = ["-4", "-j", "-d", "-force"];
  const [inet, inet6, ports] = await Promise.all([
    run(IP, words, [
      `route show ${ours}`,
      "neigh show nud permanent",
      `route show table local ${ours}`,
      ...names.map((name) => `link show dev ${name}`),
    ]),
    hasIpv6 ? readIpv6() : { routed: [], neighbours: [] },
    run(BRIDGE, ["-j", "-d", "-force"], ["link show", `fdb show dev ${TUNNELS[0]?.name ?? ""}`]),
  ]);
  const [routed, neighbours, ...rest] = documentsOf(inet);
  const [bridged, forwarding] = documentsOf(ports);
  if (neighbours === undefined) throw failed("can't be looked at", inet);
  const [allRouted, allNeighbours] = [
    z.array(z.unknown()).parse(routed).concat(inet6.routed),
    z.array(z.unknown()).parse(neighbours).concat(inet6.neighbours),
  ];
  const others = rest.flatMap((one) => z.array(z.unknown()).parse(one));
  const found = others.flatMap((one) => linkSchema.safeParse(one).data ?? []);
  const locals = others.flatMap((one) => routeSchema.safeParse(one).data ?? []);
  return {
    links: {
      tunnels: found.flatMap(asTunnel),
      addresses: locals.map(({ dst }) => dst),
      ...mapsOf(allRouted, allNeighbours, forwarding),
    },
    bridge: bridgeOf(
      found.find(({ ifname }) => ifname === bridge),
      bridged,
    ),
  };
}

/** A kernel without IPv6 tells of none. */
async function readIpv6(): Promise<{ routed: unknown[]; neighbours: unknown[] }> {
  const lines = [`route show table all proto ${ROUTE_PROTOCOL}`, "neigh show nud permanent"];
  const all = documentsOf(await run(IP, ["-6", "-j", "-d", "-force"], lines));
  const [routed = [], neighbours = []] = all.map((one) => z.array(z.unknown()).parse(one));
  return { routed, neighbours };
}

/**
 * The interface by which the machine has that address, or else the one with its default route.
 * @throws OrchdError `runtime` when iproute2 is not installed
 */
export async function readUnderlay(address: string): Promise<Underlay> {
  const output = await run(IP, ["-4", "-j"], ["addr show", "route show default"]);
  const [addresses, routes] = documentsOf(output);
  const all = z.array(addressedSchema).parse(addresses ?? []);
  const own = all.find(({ addr_info: list }) => list.some(({ local }) => local === address));
  const [route] = z.array(routeSchema).parse(routes ?? []);
  const link = own ?? all.find(({ ifname }) => ifname === route?.dev);
  return {
    device: link?.ifname ?? "lo",
    mtu: link?.mtu ?? MTU_DEFAULT,
    isOwn: own !== undefined,
  };
}

/** The largest packet of a device; undefined where it is not there. */
export async function deviceMtu(name: string): Promise<number | undefined> {
  const [links] = documentsOf(await run(IP, ["-j"], [`link show dev ${name}`]));
  return z.array(linkSchema).parse(links ?? [])[0]?.mtu;
}

/** Machines on the same local networks that this one has lately spoken with, by IPv4 address. */
export async function readNeighbours(): Promise<string[]> {
  const [found] = documentsOf(await run(IP, ["-4", "-j"], ["neigh show"]));
  const all = z.array(neighbourSchema).parse(found ?? []);
  return all
    .filter(({ lladdr, dev }) => lladdr !== "" && !dev.startsWith("orchd"))
    .map(({ dst }) => dst);
}

/**
 * Carries out a change with at most two programs. What one line can't do stops no other one.
 * @throws OrchdError `runtime` with what the first line that failed complained of
 */
export async function applyLinks({ ip, bridge }: LinkChange): Promise<void> {
  for (const [program, lines] of [
    [IP, ip],
    [BRIDGE, bridge],
  ] as const) {
    if (lines.length === 0) continue;
    const output = await run(program, ["-force"], lines);
    if (output.exitCode !== 0) throw failed("could not be set", output);
  }
}

async function run(
  program: typeof IP,
  words: readonly string[],
  lines: readonly string[],
): Promise<ProgramOutput> {
  const input = lines.map((line) => `${line}\n`).join("");
  return runProgram(program, [...words, "-batch", "-"], input);
}

/** Each command of a batch prints one line. */
function documentsOf({ stdout }: ProgramOutput): unknown[] {
  const lines = stdout.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line): unknown => JSON.parse(line));
}

function asTunnel({ ifname, mtu = 0, address, linkinfo }: z.infer<typeof linkSchema>): Tunnel[] {
  const known = TUNNELS.find(({ name }) => name === ifname);
  if (known === undefined) return [];
  if (known.kind === "wireguard") return [{ ...known, mtu }];
  const local = linkinfo?.info_data?.local;
  const mac = address === undefined ? {} : { mac: address };
  return [{ ...known, mtu, ...mac, ...(local === undefined ? {} : { local }) }];
}

function asRoute({ dst, gateway, dev, prefsrc, type }: z.infer<typeof routeSchema>): Route {
  return {
    to: dst,
    device: dev ?? "",
    ...(gateway === undefined ? {} : { via: gateway }),
    ...(prefsrc === undefined ? {} : { source: prefsrc }),
    ...(type === "local" ? { isLocal: true } : {}),
  };
}

function mapsOf(routes: unknown, neighbours: unknown, forwarding: unknown) {
  const vxlan = TUNNELS[0]?.name;
  return {
    routes: new Map(
      z
        .array(routeSchema)
        .parse(routes)
        .map((route) => [route.dst, asRoute(route)]),
    ),
    neighbours: new Map(
      z
        .array(neighbourSchema)
        .parse(neighbours)
        .filter(({ dev }) => dev === vxlan)
        .map(({ dst, lladdr }) => [dst, lladdr]),
    ),
    forwarding: new Map(
      z
        .array(forwardingSchema)
        .parse(forwarding ?? [])
        .flatMap(({ mac, dst }) => (dst === undefined ? [] : [[mac, dst] as const])),
    ),
  };
}

function bridgeOf(
  link: z.infer<typeof linkSchema> | undefined,
  ports: unknown,
): FoundBridge | undefined {
  if (link === undefined) return undefined;
  const { nf_call_iptables: inet, nf_call_ip6tables: inet6 } = link.linkinfo?.info_data ?? {};
  const own = z
    .array(portSchema)
    .parse(ports ?? [])
    .filter((port) => port.master === link.ifname);
  return {
    isFiltered: inet === 1 && inet6 === 1,
    mtu: link.mtu ?? 0,
    straightPorts: own.filter(({ hairpin }) => hairpin !== true).map(({ ifname }) => ifname),
  };
}

function failed(what: string, output: ProgramOutput): OrchdError {
  return new OrchdError("runtime", `the node's links ${what}: ${complaintOf(output)}`);
}
