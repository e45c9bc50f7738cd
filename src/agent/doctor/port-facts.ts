import { parseBoundSockets, socketAt } from "../../core/doctor/bound-sockets.ts";
import type { Holder, PortFact, PortPurpose } from "../../core/doctor/machine-facts.ts";
import { KERNEL } from "../../core/doctor/port-findings.ts";
import { VXLAN_PORT, WIREGUARD_PORT } from "../../core/network/links.ts";
import type { DoctorOptions } from "../../model/diagnosis.ts";
import { DISCOVERY_PORT } from "../../net/discovery/group.ts";
import { holdersOf, isOrchd, readSockets, type FoundProcess } from "../../net/port-holders.ts";
import type { OwnOrchd } from "./own-orchd.ts";

const DNS_PORT = 53;
/** WireGuard without the kernel's is a program of its own, which orchd starts. */
const WIREGUARD_PROGRAM = "wireguard-go";

interface WantedPort {
  port: number;
  protocol: "tcp" | "udp";
  purpose: PortPurpose;
  address?: string;
}

/** The ports that orchd needs on this machine, each with the program that has it now. */
export function findPorts(
  options: DoctorOptions,
  own: OwnOrchd,
  processes: readonly FoundProcess[],
): PortFact[] {
  const sockets = (["tcp", "udp"] as const).flatMap((protocol) =>
    readSockets(protocol).flatMap((text) => parseBoundSockets(text, protocol)),
  );
  const taken = wantedPorts(options, own).map((wanted) => ({
    wanted,
    socket: socketAt(sockets, wanted),
  }));
  const inodes = new Set(taken.flatMap(({ socket }) => socket?.inode ?? []));
  const holders = holdersOf(inodes, processes);
  return taken.map(({ wanted, socket }) => ({
    ...wanted,
    holder: socket === undefined ? undefined : holderOf(holders.get(socket.inode)),
  }));
}

function holderOf(process: FoundProcess | undefined): Holder {
  if (process === undefined) return { pid: undefined, name: KERNEL, isOrchd: false };
  const { pid, name } = process;
  return { pid, name, isOrchd: isOrchd(process) || name === WIREGUARD_PROGRAM };
}

function wantedPorts(options: DoctorOptions, own: OwnOrchd): WantedPort[] {
  const { serverPort, gossipPort, ingress } = options;
  const { role, mode, bridgeAddress } = own;
  const ports: WantedPort[] = [];
  const add = (port: number, protocol: "tcp" | "udp", purpose: PortPurpose, address?: string) => {
    const at = address === undefined ? {} : { address };
    if (port > 0) ports.push({ port, protocol, purpose, ...at });
  };
  if (role !== "node") {
    add(serverPort, "tcp", "server");
    add(DISCOVERY_PORT, "udp", "discovery");
  }
  add(gossipPort, "tcp", "gossip");
  add(gossipPort, "udp", "gossip");
  if (mode === "vxlan") add(VXLAN_PORT, "udp", "vxlan");
  if (mode === "wireguard") add(WIREGUARD_PORT, "udp", "wireguard");
  if (bridgeAddress !== undefined) {
    add(DNS_PORT, "udp", "names", bridgeAddress);
    add(DNS_PORT, "tcp", "names", bridgeAddress);
  }
  add(ingress.http, "tcp", "http");
  add(ingress.https, "tcp", "https");
  return ports;
}
