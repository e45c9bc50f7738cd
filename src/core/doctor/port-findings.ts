import type { Finding } from "../../model/diagnosis.ts";
import type { PortFact, PortPurpose } from "./machine-facts.ts";

/** What is lost while another program has the port, and how orchd gets one. */
const PURPOSES: Readonly<Record<PortPurpose, { why: string; remedy: string }>> = {
  server: {
    why: "no node and nobody on another machine reaches a server here",
    remedy: "stop that program, or start `orchd server` with --listen 0.0.0.0:PORT",
  },
  discovery: {
    why: "machines that join without an address do not find a server here",
    remedy: "stop that program, or join with TOKEN@ADDRESS",
  },
  gossip: {
    why: "other nodes learn of this one's tasks, and of its end, from the server alone",
    remedy: "stop that program, or start orchd with --gossip-port PORT",
  },
  vxlan: {
    why: "tasks here and on other nodes do not reach each other",
    remedy: "stop that program, or start `orchd server` with --network wireguard",
  },
  wireguard: {
    why: "tasks here and on other nodes do not reach each other",
    remedy: "stop that program, or start `orchd server` with --network vxlan",
  },
  names: {
    why: "tasks here get no answers when they ask for names",
    remedy: "let that program listen on addresses of its own instead of all",
  },
  http: {
    why: "requests by host name are not taken here over HTTP",
    remedy: "stop that program, or start orchd with --ingress-http PORT",
  },
  https: {
    why: "requests by host name are not taken here over HTTPS",
    remedy: "stop that program, or start orchd with --ingress-https PORT",
  },
};

/** Ports that others have. Tunnels of the kernel share theirs with each other. */
export function portFindings(ports: readonly PortFact[]): Omit<Finding, "check">[] {
  return ports.flatMap(({ port, protocol, purpose, address, holder }): Omit<Finding, "check">[] => {
    if (holder === undefined || holder.isOrchd) return [];
    const isKernels = holder.pid === undefined && holder.name === KERNEL;
    if (isKernels && (purpose === "vxlan" || purpose === "wireguard")) return [];
    const at = address === undefined ? "" : ` at ${address}`;
    const who = holder.pid === undefined ? holder.name : `${holder.name} (pid ${holder.pid})`;
    const what = `port ${port}/${protocol}${at} is taken by ${who}`;
    return [{ level: "fault", what, ...PURPOSES[purpose] }];
  });
}

/** What has a socket that no process has. */
export const KERNEL = "the kernel";
