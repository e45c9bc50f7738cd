import { formatConstraint, unmetConstraint } from "../../model/constraint.ts";
import { formatDisk } from "../../model/disk.ts";
import { type Node, PROCESS_RUNTIME } from "../../model/node.ts";
import { formatBytes } from "../../lib/text.ts";
import { isGlobal, tieOf, usesDevices, type Port, type ServiceSpec } from "../../model/service.ts";
import { baseOfSlot } from "../../model/slot-name.ts";
import { volumesOfTask } from "../../model/task-volumes.ts";
import { refusalOfBond } from "./affinity.ts";
import type { Candidate } from "./candidate.ts";
import { giveDevices } from "./devices.ts";
import type { NodeLoad } from "./load.ts";
import { withoutDevices } from "./staged.ts";

/** Why the node is out of the question, in words that follow its name; undefined when it is not. */
type Filter = (candidate: Candidate, node: Node, load: NodeLoad) => string | undefined;

/** What a /24 has beside the network's own address, the node's and the broadcast address. */
const ADDRESSES_PER_NODE = 253;

/** Those that look at the task and the node alone: their answer holds until one of them changes. */
export const STATIC_FILTERS: readonly Filter[] = [
  refuseWrongNode,
  refuseUnavailable,
  refuseWrongPlatform,
  refuseWrongRuntime,
  refuseForeignImage,
  refuseUnmetConstraint,
  refuseOldVolume,
];

interface LoadFilter {
  refuse: Filter;
  /** Whether it could refuse a task of this spec at all. */
  concerns: (spec: ServiceSpec) => boolean;
}

const LOAD_FILTERS: readonly LoadFilter[] = [
  { refuse: refuseTakenHostPort, concerns: ({ ports }) => ports.some(isOnHost) },
  {
    refuse: refuseFullShare,
    concerns: ({ placement }) => placement.maxReplicasPerNode > 0,
  },
  { refuse: refuseTooSmall, concerns: () => true },
  {
    refuse: refuseFewResources,
    concerns: ({ resources }) => resources.reservations.generic !== undefined,
  },
  { refuse: refuseNoDevices, concerns: usesDevices },
  { refuse: refuseFullNetwork, concerns: ({ container }) => container.networkMode === "bridge" },
  // The rules of others concern it as well.
  { refuse: refuseWrongCompany, concerns: () => true },
];

/**
 * Those that look at what other tasks take, which each placement changes. A node that refuses a
 * service's task by one of them goes on doing so while it only gets more of that service.
 */
export function loadFiltersFor(spec: ServiceSpec): readonly Filter[] {
  return LOAD_FILTERS.filter(({ concerns }) => concerns(spec)).map(({ refuse }) => refuse);
}

/**
 * The reason why `node` cannot take the candidate, or undefined when it can. Filters come in the
 * order in which a person would ask, and the first that refuses gives the reason.
 */
export function refusalOf(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  return (
    firstRefusal(STATIC_FILTERS, candidate, node, load) ??
    firstRefusal(loadFiltersFor(candidate.spec), candidate, node, load)
  );
}

/** What the first of these filters says that refuses. */
export function firstRefusal(
  filters: readonly Filter[],
  candidate: Candidate,
  node: Node,
  load: NodeLoad,
): string | undefined {
  for (const filter of filters) {
    const reason = filter(candidate, node, load);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** A global service's slot is one node, and what ties a task to a node is only there. */
function refuseWrongNode({ task, spec, home }: Candidate, node: Node): string | undefined {
  if (isGlobal(spec)) {
    return baseOfSlot(task.slot) === node.id ? undefined : "is not the node of this slot";
  }
  if (home === undefined || home.id === node.id) return undefined;
  return `does not have its ${tieOf(spec) ?? "data"}, which is on node ${home.hostname}`;
}

function refuseUnavailable(_: Candidate, node: Node): string | undefined {
  if (!node.roles.agent) return "runs no agent";
  if (node.health !== "ready") return `is ${node.health}`;
  if (node.availability === "drain") return "is drained";
  if (node.availability === "pause") return "is paused";
  if (node.disk?.level === "full") return `has no room on its disk: ${formatDisk(node.disk)}`;
  return undefined;
}

function refuseWrongPlatform({ spec }: Candidate, node: Node): string | undefined {
  if (spec.container.platform === undefined) return undefined;
  const [os, arch] = spec.container.platform.split("/");
  const has = `${node.platform.os}/${node.platform.arch}`;
  const fits = os === node.platform.os && (arch === undefined || arch === node.platform.arch);
  return fits ? undefined : `is ${has}, not ${spec.container.platform}`;
}

/** Containers need a container runtime, and plain processes a node that allows them. */
function refuseWrongRuntime({ spec }: Candidate, node: Node): string | undefined {
  const isProcess = spec.container.runtime === "process";
  if (isProcess) {
    return node.processes === true ? undefined : "runs no plain processes (see --allow-process)";
  }
  return node.runtime.name === PROCESS_RUNTIME ? "has no container runtime" : undefined;
}

/** What its agent found out: the image is there, and for another kind of machine. */
function refuseForeignImage({ spec }: Candidate, node: Node): string | undefined {
  const { image, pullPolicy, platform } = spec.container;
  // A platform that the file names is its writer's business, and what is always fetched is new.
  if (platform !== undefined || pullPolicy === "always") return undefined;
  const is = node.foreignImages?.[image];
  if (is === undefined) return undefined;
  return `is ${node.platform.os}/${node.platform.arch}, and has image ${image} for ${is}`;
}

function refuseUnmetConstraint({ spec }: Candidate, node: Node): string | undefined {
  const unmet = unmetConstraint(node, spec.placement.constraints);
  return unmet === undefined ? undefined : `does not meet ${formatConstraint(unmet)}`;
}

function isOnHost({ mode }: Port): boolean {
  return mode === "host";
}

function refuseTakenHostPort(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  const given = candidate.gives.get(node.id)?.hostPorts;
  const taken = candidate.spec.ports.filter(isOnHost).find((port) => {
    const key = `${port.published}/${port.protocol}`;
    return (load.hostPorts.get(key) ?? 0) > (given?.get(key) ?? 0);
  });
  return taken && `has port ${taken.published}/${taken.protocol} in use by another task`;
}

function refuseFullShare(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  const { task, spec, slotNodes } = candidate;
  const limit = spec.placement.maxReplicasPerNode;
  const replaced = slotNodes.filter((nodeId) => nodeId === node.id).length;
  const others = (load.tasksByService.get(task.serviceId) ?? 0) - replaced;
  if (others < limit) return undefined;
  return `holds ${limit} of its tasks already, which is max_replicas_per_node`;
}

function refuseTooSmall(
  { spec, gives }: Candidate,
  node: Node,
  load: NodeLoad,
): string | undefined {
  const { cpuMillis, memoryBytes } = spec.resources.reservations;
  const given = gives.get(node.id);
  const freeMemory = node.resources.memoryBytes - load.memoryBytes + (given?.memoryBytes ?? 0);
  if (memoryBytes > freeMemory) {
    return `has ${formatBytes(freeMemory)} of memory free, not ${formatBytes(memoryBytes)}`;
  }
  const freeCpu = node.resources.cpuMillis - load.cpuMillis + (given?.cpuMillis ?? 0);
  if (cpuMillis > freeCpu) return `has ${freeCpu / 1000} cores free, not ${cpuMillis / 1000}`;
  return undefined;
}

function refuseFewResources(
  { spec, gives }: Candidate,
  node: Node,
  load: NodeLoad,
): string | undefined {
  const given = gives.get(node.id)?.generic;
  for (const [kind, amount] of Object.entries(spec.resources.reservations.generic ?? {})) {
    const taken = (load.generic.get(kind) ?? 0) - (given?.get(kind) ?? 0);
    const free = (node.generic?.[kind] ?? 0) - taken;
    if (amount > free) return `has ${free} of resource ${kind} free, not ${amount}`;
  }
  return undefined;
}

function refuseNoDevices(candidate: Candidate, node: Node, load: NodeLoad): string | undefined {
  const { spec, gives } = candidate;
  const gift = giveDevices(spec, node, withoutDevices(load, gives.get(node.id)));
  return "reason" in gift ? gift.reason : undefined;
}

function refuseFullNetwork(_: Candidate, __: Node, load: NodeLoad): string | undefined {
  if (load.addresses < ADDRESSES_PER_NODE) return undefined;
  return `has given all ${ADDRESSES_PER_NODE} addresses of its network to tasks`;
}

/** What is there under the volume's name belongs to a stack that was removed with its data. */
function refuseOldVolume({ task, spec }: Candidate, node: Node): string | undefined {
  const { volumesToRemove } = node;
  if (volumesToRemove === undefined) return undefined;
  const old = volumesOfTask(task, spec, node).find(({ volume }) =>
    volumesToRemove.includes(volume),
  );
  return old && `has not yet removed the volume ${old.volume} of a stack that was taken down`;
}

/** Near to the tasks of another service, or apart from them, where that is a must. */
function refuseWrongCompany({ bonds }: Candidate, node: Node): string | undefined {
  for (const bond of bonds) {
    const reason = refusalOfBond(bond, node);
    if (reason !== undefined) return reason;
  }
  return undefined;
}
