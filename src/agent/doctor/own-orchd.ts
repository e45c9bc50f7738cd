import { existsSync } from "node:fs";
import { join } from "node:path";
import { gatewayOf, parseSubnet } from "../../core/network/address.ts";
import { CLUSTER_RANGE_DEFAULT } from "../../model/cluster.ts";
import type { MapNode, NetworkMode } from "../../model/network-map.ts";
import { isOrchd, type FoundProcess } from "../../net/port-holders.ts";
import { readCopyOfAgentState } from "../../store/agent-state/read-copy.ts";

/** What orchd is on this machine, as far as its data directory and its processes tell. */
export interface OwnOrchd {
  role: "server" | "node" | "none";
  isRunning: boolean;
  /** Of the cluster; those that a new one would have where there is none. */
  mode: NetworkMode;
  range: string;
  range6?: string;
  /** This node; absent while it has heard of no map. */
  self: MapNode | undefined;
  others: MapNode[];
  /** The node's own address on its bridge. */
  bridgeAddress: string | undefined;
  /** `host:port`; none on the server's own machine. */
  servers: readonly string[];
  /** PEM of the cluster's authority. */
  ca: string | undefined;
}

/** @throws OrchdError `damaged` when what the agent remembers can't be read */
export function findOwnOrchd(dataDir: string, processes: readonly FoundProcess[]): OwnOrchd {
  const remembered = readCopyOfAgentState(join(dataDir, "agent.db"));
  const { nodeId, identity, map } = remembered ?? {};
  const self = map?.nodes.find(({ id }) => id === nodeId);
  const subnet = parseSubnet(self?.subnet ?? identity?.subnet ?? "");
  const isServer = existsSync(join(dataDir, "server.db"));
  return {
    role: isServer ? "server" : identity === undefined ? "none" : "node",
    isRunning: processes.some(hasAgent),
    mode: map?.mode ?? "vxlan",
    range: map?.range ?? CLUSTER_RANGE_DEFAULT,
    ...(map?.range6 === undefined ? {} : { range6: map.range6 }),
    self,
    others: map?.nodes.filter(({ id }) => id !== nodeId) ?? [],
    bridgeAddress: subnet === undefined ? undefined : gatewayOf(subnet),
    servers: isServer ? [] : (identity?.servers ?? []),
    ca: identity?.caCertificate,
  };
}

/** Whether the process is an orchd that runs containers. */
export function hasAgent(process: FoundProcess): boolean {
  if (!isOrchd(process) || process.words.includes("--no-agent")) return false;
  const runtime = process.words.indexOf("--runtime");
  const isFake = process.words[runtime + 1] === "fake" && runtime > 0;
  return !isFake && !process.words.includes("--runtime=fake");
}
