import type { NodeId, ServiceId } from "../../model/ids.ts";
import { specAt, type Service, type ServiceSpec } from "../../model/service.ts";
import { isStaged, occupiesNode, type Task } from "../../model/task.ts";
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

/** What is there for a task once others have ended. Their addresses are not: it has one by then. */
export type Room = Pick<
  NodeLoad,
  "cpuMillis" | "memoryBytes" | "generic" | "hostPorts" | "devices"
>;

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
  const slots = new Map<string, Task>();
  for (const task of view.tasksOn(nodeId)) {
    if (isFailedAttempt(task)) count(load.failures, revisionKey(task), 1);
    const service = view.services.get(task.serviceId);
    if (service === undefined || !occupiesNode(task) || !counts(task)) continue;
    if (isStaged(task)) slots.set(slotKey(task), task);
    else addTask(load, task, specAt(service, task.revision));
  }
  for (const { serviceId, slot } of slots.values()) {
    const service = view.services.get(serviceId);
    const held = tasksAt(view, { serviceId, slot, nodeId }).filter(counts);
    const counted = service === undefined ? [] : shareRoom(service, held).counted;
    for (const { task, spec } of counted) addTask(load, task, spec);
  }
  return load;
}

/** Under which what tasks share is kept that are in one slot. */
export function slotKey({ serviceId, slot }: Pick<Task, "serviceId" | "slot">): string {
  return `${serviceId}/${slot}`;
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
  const { generic } = spec.resources.reservations;
  if (generic !== undefined) {
    for (const [kind, amount] of Object.entries(generic)) count(load.generic, kind, by * amount);
  }
  if (task.devices !== undefined) for (const id of task.devices) count(load.devices, id, by);
}

/** Counts in a map in which only what was counted has an entry. */
export function count<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}

/** A task with the spec by which it counts on its node. */
export interface Counted {
  task: Task;
  spec: ServiceSpec;
}

/** A task that is staged starts when the others of its slot have ended: it counts on their room. */
export interface SlotOnNode {
  serviceId: ServiceId;
  slot: string;
  nodeId: NodeId;
}

/** What tasks hold the node for the slot, staged ones among them. */
export function tasksAt(view: View, { serviceId, slot, nodeId }: SlotOnNode): Task[] {
  return view.tasksOn(nodeId).filter((task) => {
    return task.serviceId === serviceId && task.slot === slot && occupiesNode(task);
  });
}

/**
 * How those count that are staged: with what they need beyond the room of the others, which is
 * counted already. What is left of that room is for one more.
 * @param tasks all that hold a node for a slot
 */
export function shareRoom(
  service: Service,
  tasks: readonly Task[],
): { counted: Counted[]; left: Room } {
  const left = emptyLoad();
  for (const task of tasks) {
    if (!isStaged(task)) addTask(left, task, specAt(service, task.revision));
  }
  const counted = tasks.filter(isStaged).map((task) => {
    return { task, spec: takeRoom(left, specAt(service, task.revision)) };
  });
  return { counted, left };
}

/** What a task of this spec needs beyond the room, of which it takes what it can use. */
function takeRoom(room: Room, spec: ServiceSpec): ServiceSpec {
  const { reservations } = spec.resources;
  const cpuMillis = Math.max(0, reservations.cpuMillis - room.cpuMillis);
  const memoryBytes = Math.max(0, reservations.memoryBytes - room.memoryBytes);
  room.cpuMillis -= reservations.cpuMillis - cpuMillis;
  room.memoryBytes -= reservations.memoryBytes - memoryBytes;
  const generic: Record<string, number> = {};
  for (const [kind, amount] of Object.entries(reservations.generic ?? {})) {
    const more = Math.max(0, amount - (room.generic.get(kind) ?? 0));
    count(room.generic, kind, more - amount);
    if (more > 0) generic[kind] = more;
  }
  const beyond = { ...reservations, cpuMillis, memoryBytes, generic };
  return { ...spec, resources: { ...spec.resources, reservations: beyond } };
}

/** What a task of this spec needs beyond the room. */
export function needBeyond(room: Room, spec: ServiceSpec): ServiceSpec {
  return takeRoom({ ...room, generic: new Map(room.generic) }, spec);
}

/** Whether the task failed on its node by itself, and not with the node. */
export function isFailedAttempt(task: Task): boolean {
  return task.nodeId !== undefined && (task.state === "failed" || task.state === "rejected");
}

/** Under which the failures of a revision are counted. */
export function revisionKey(task: Pick<Task, "serviceId" | "revision">): string {
  return `${task.serviceId}/${task.revision}`;
}
