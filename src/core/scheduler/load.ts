import type { NodeId, ServiceId } from "../../model/ids.ts";
import { specAt, type ServiceSpec } from "../../model/service.ts";
import { occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** What the tasks of one node take of it. */
export interface NodeLoad {
  cpuMillis: number;
  memoryBytes: number;
  tasks: number;
  /** Tasks with an address on the node's bridge. */
  addresses: number;
  tasksByService: Map<ServiceId, number>;
  /** By `8080/tcp`: how many tasks hold it, which is one but where something went wrong. */
  hostPorts: Map<string, number>;
  /** How much of each named resource is reserved. */
  generic: Map<string, number>;
  /** By id: how many tasks hold the device. */
  devices: Map<string, number>;
  /** By `revisionKey`: how many attempts failed here that are still remembered. */
  failures: Map<string, number>;
}

export function emptyLoad(): NodeLoad {
  return {
    cpuMillis: 0,
    memoryBytes: 0,
    tasks: 0,
    addresses: 0,
    tasksByService: new Map(),
    hostPorts: new Map(),
    generic: new Map(),
    devices: new Map(),
    failures: new Map(),
  };
}

/**
 * Counts what occupies the node, ending tasks included: their room is not free yet.
 * @param counts leaves tasks out, to see what room there would be without them
 */
export function loadOf(
  view: View,
  nodeId: NodeId,
  counts: (task: Task) => boolean = () => true,
): NodeLoad {
  const load = emptyLoad();
  for (const task of view.tasksOn(nodeId)) {
    if (isFailedAttempt(task)) count(load.failures, revisionKey(task), 1);
    const service = view.services.get(task.serviceId);
    if (service === undefined || !occupiesNode(task) || !counts(task)) continue;
    addTask(load, task, specAt(service, task.revision));
  }
  return load;
}

/** Counts one task more. */
export function addTask(load: NodeLoad, task: Task, spec: ServiceSpec): void {
  countTask(load, task, spec, 1);
}

/** Counts one task less: the same one, of the same spec, that was added. */
export function removeTask(load: NodeLoad, task: Task, spec: ServiceSpec): void {
  countTask(load, task, spec, -1);
}

function countTask(load: NodeLoad, task: Task, spec: ServiceSpec, by: 1 | -1): void {
  load.tasks += by;
  if (spec.container.networkMode === "bridge") load.addresses += by;
  load.cpuMillis += by * spec.resources.reservations.cpuMillis;
  load.memoryBytes += by * spec.resources.reservations.memoryBytes;
  count(load.tasksByService, task.serviceId, by);
  for (const port of spec.ports) {
    if (port.mode === "host") count(load.hostPorts, `${port.published}/${port.protocol}`, by);
  }
  for (const [kind, amount] of Object.entries(spec.resources.reservations.generic ?? {})) {
    count(load.generic, kind, by * amount);
  }
  for (const id of task.devices ?? []) count(load.devices, id, by);
}

/** Counts in a map in which only what was counted has an entry. */
export function count<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}

/** Whether the task failed on its node by itself, and not with the node. */
export function isFailedAttempt(task: Task): boolean {
  return task.nodeId !== undefined && (task.state === "failed" || task.state === "rejected");
}

/** Under which the failures of a revision are counted. */
export function revisionKey(task: Pick<Task, "serviceId" | "revision">): string {
  return `${task.serviceId}/${task.revision}`;
}
