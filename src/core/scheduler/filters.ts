import { formatConstraint, unmetConstraint } from "../../model/constraint.ts";
import type { Node } from "../../model/node.ts";
import { formatBytes } from "../../lib/text.ts";
import { tieOf } from "../../model/service.ts";
import type { Candidate } from "./candidate.ts";
import type { NodeLoad } from "./load.ts";

/** Why the node is out of the question, in words that follow its name; undefined when it is not. */
type Filter = (candidate: Candidate, node: Node, load: NodeLoad) => string | undefined;

/** What a /24 has beside the network's own address, the node's and the broadcast address. */
const ADDRESSES_PER_NODE = 253;

/** In the order in which a person would ask; the first that refuses gives the reason. */
const FILTERS: readonly Filter[] = [
  refuseWrongNode,
  refuseUnavailable,
  refuseWrongPlatform,
  refuseUnmetConstraint,
  refuseTakenHostPort,
  refuseFullShare,
  refuseTooSmall,
  refuseFullNetwork,
];

/** The reason why `node` cannot take the candidate, or undefined when it can. */
export function refusalOf(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  for (const filter of FILTERS) {
    const reason = filter(candidate, node, load);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** A global service's slot is one node, and what ties a task to a node is only there. */
function refuseWrongNode({ task, spec, home }: Candidate, node: Node): string | undefined {
  if (spec.mode === "global") {
    return task.slot === node.id ? undefined : "is not the node of this slot";
  }
  if (home === undefined || home.id === node.id) return undefined;
  return `does not have its ${tieOf(spec) ?? "data"}, which is on node ${home.hostname}`;
}

function refuseUnavailable(_: Candidate, node: Node): string | undefined {
  if (!node.roles.agent) return "runs no agent";
  if (node.health !== "ready") return `is ${node.health}`;
  if (node.availability === "drain") return "is drained";
  if (node.availability === "pause") return "is paused";
  return undefined;
}

function refuseWrongPlatform({ spec }: Candidate, node: Node): string | undefined {
  if (spec.container.platform === undefined) return undefined;
  const [os, arch] = spec.container.platform.split("/");
  const has = `${node.platform.os}/${node.platform.arch}`;
  const fits = os === node.platform.os && (arch === undefined || arch === node.platform.arch);
  return fits ? undefined : `is ${has}, not ${spec.container.platform}`;
}

function refuseUnmetConstraint({ spec }: Candidate, node: Node): string | undefined {
  const unmet = unmetConstraint(node, spec.placement.constraints);
  return unmet === undefined ? undefined : `does not meet ${formatConstraint(unmet)}`;
}

function refuseTakenHostPort(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  const given = candidate.gives.get(node.id)?.hostPorts;
  const taken = candidate.spec.ports.find((port) => {
    const key = `${port.published}/${port.protocol}`;
    return port.mode === "host" && load.hostPorts.has(key) && given?.has(key) !== true;
  });
  return taken && `has port ${taken.published}/${taken.protocol} in use by another task`;
}

function refuseFullShare(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  const { task, spec, slotNodes } = candidate;
  const limit = spec.placement.maxReplicasPerNode;
  const replaced = slotNodes.filter((nodeId) => nodeId === node.id).length;
  const others = (load.tasksByService.get(task.serviceId) ?? 0) - replaced;
  if (limit === 0 || others < limit) return undefined;
  return `holds ${limit} of its tasks already, which is max_replicas_per_node`;
}

function refuseTooSmall(
  { spec, gives }: Candidate,
  node: Node,
  load: NodeLoad,
): string | undefined {
  const { cpuMillis, memoryBytes } = spec.resources.reservations;
  const given = gives.get(node.id) ?? { cpuMillis: 0, memoryBytes: 0 };
  const freeMemory = node.resources.memoryBytes - load.memoryBytes + given.memoryBytes;
  if (memoryBytes > freeMemory) {
    return `has ${formatBytes(freeMemory)} of memory free, not ${formatBytes(memoryBytes)}`;
  }
  const freeCpu = node.resources.cpuMillis - load.cpuMillis + given.cpuMillis;
  if (cpuMillis > freeCpu) return `has ${freeCpu / 1000} cores free, not ${cpuMillis / 1000}`;
  return undefined;
}

function refuseFullNetwork({ spec }: Candidate, _: Node, load: NodeLoad): string | undefined {
  if (spec.container.networkMode !== "bridge" || load.addresses < ADDRESSES_PER_NODE) {
    return undefined;
  }
  return `has given all ${ADDRESSES_PER_NODE} addresses of its network to tasks`;
}
