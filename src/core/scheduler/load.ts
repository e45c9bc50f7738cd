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
  /** `8080/tcp` */
  hostPorts: Set<string>;
  /** How much of each named resource is reserved. */
  generic: Map<string, number>;
  /** By id: how many tasks hold the device. */
  devices: Map<string, number>;
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
  const load: NodeLoad = {
    cpuMillis: 0,
    memoryBytes: 0,
    tasks: 0,
    addresses: 0,
    tasksByService: new Map(),
    hostPorts: new Set(),
    generic: new Map(),
    devices: new Map(),
  };
  for (const task of view.tasksOn(nodeId)) {
    const service = view.services.get(task.serviceId);
    if (service === undefined || !occupiesNode(task) || !counts(task)) continue;
    addTask(load, task, specAt(service, task.revision));
  }
  return load;
}

/** Counts one task more. */
export function addTask(load: NodeLoad, task: Task, spec: ServiceSpec): void {
  load.tasks += 1;
  if (spec.container.networkMode === "bridge") load.addresses += 1;
  load.cpuMillis += spec.resources.reservations.cpuMillis;
  load.memoryBytes += spec.resources.reservations.memoryBytes;
  load.tasksByService.set(task.serviceId, (load.tasksByService.get(task.serviceId) ?? 0) + 1);
  for (const port of spec.ports) {
    if (port.mode === "host") load.hostPorts.add(`${port.published}/${port.protocol}`);
  }
  for (const [kind, amount] of Object.entries(spec.resources.reservations.generic ?? {})) {
    load.generic.set(kind, (load.generic.get(kind) ?? 0) + amount);
  }
  for (const id of task.devices ?? []) load.devices.set(id, (load.devices.get(id) ?? 0) + 1);
}
