import { formatConstraint, unmetConstraint } from "../../model/constraint.ts";
import type { VolumeMount } from "../../model/container.ts";
import { put, type Change } from "../../model/change.ts";
import { hasDevice } from "../../model/device.ts";
import type { NodeId } from "../../model/ids.ts";
import { formatServiceName } from "../../model/names.ts";
import { acceptsTasks, type Node } from "../../model/node.ts";
import { isGlobal, specAt, specOf, type Service } from "../../model/service.ts";
import { isServing } from "../../model/serving.ts";
import { baseOfSlot } from "../../model/slot-name.ts";
import { volumesOfSlot, volumesOfTask } from "../../model/task-volumes.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { withVolumesToRemove } from "./node.ts";

/** Volumes with the tasks that use them, on their way from one node to another. */
export interface Move {
  names: readonly string[];
  from: NodeId;
  to: NodeId;
}

/** Why they can't move, in one sentence; undefined when nothing speaks against it. */
export function whyNoMove(view: View, { names, from, to }: Move): string | undefined {
  const [source, target] = [view.nodes.get(from), view.nodes.get(to)];
  if (source === undefined || target === undefined) return "one of the two nodes is gone";
  if (from === to) return `${names.join(", ")} is on node ${target.hostname} already`;
  if (!acceptsTasks(target)) return `node ${target.hostname} takes no tasks now`;
  if (target.volumesToRemove?.some((name) => names.includes(name)) === true) {
    return `node ${target.hostname} still has to remove what was there before: try again`;
  }
  for (const user of usersOn(view, source, names)) {
    const why = whyStays(user, { names, source, target });
    if (why !== undefined) return why;
  }
  return undefined;
}

/**
 * The copies are good: slots that used the volumes on the one node have their home on the other,
 * and what they had on the first ends. The volumes there go once they are used on the other.
 * @param now milliseconds since 1970
 */
export function moveChanges(view: View, { names, from, to }: Move, now: number): Change[] {
  const [source, target] = [view.nodes.get(from), view.nodes.get(to)];
  if (source === undefined || target === undefined) return [];
  const message = `its volume ${names.join(", ")} moved to node ${target.hostname}`;
  const changes: Change[] = [];
  for (const { service, slots } of usersOn(view, source, names)) {
    const homes = { ...service.homes };
    for (const slot of slots) homes[slot] = to;
    changes.push(put.service({ ...service, homes }));
    for (const task of tasksOn(view, service, from)) {
      const isUser = slots.includes(baseOfSlot(task.slot)) || uses(service, task, source, names);
      if (!isUser || task.desired === "removed") continue;
      const said = task.desired === "running" ? { message, since: now } : {};
      changes.push(put.task({ ...task, desired: "removed", ...said }));
    }
  }
  const volumesMoved = [...(source.volumesMoved ?? []), ...names.map((name) => ({ name, to }))];
  return [
    ...changes,
    put.node({ ...source, volumesMoved }),
    put.node(withoutComing(target, names)),
  ];
}

/** The node as volumes are on their way to it: what breaks off from here on is cleared away. */
export function withComing(node: Node, names: readonly string[]): Node {
  return { ...node, volumesComing: [...new Set([...(node.volumesComing ?? []), ...names])] };
}

/** The node after a move to it that broke off: what came of it is removed. */
export function withBrokenOff(node: Node, names: readonly string[]): Node {
  return withVolumesToRemove(withoutComing(node, names), names);
}

/**
 * The node with volumes to remove that moved away: each that is used where it is now, or that
 * nobody uses any more, and that no task of the node holds. The same object when there is none.
 */
export function withMovedToRemove(view: View, node: Node): Node {
  const { volumesMoved = [], ...rest } = node;
  const done = volumesMoved.filter(({ name, to }) => isUsedAt(view, node, name, to));
  if (done.length === 0) return node;
  const left = volumesMoved.filter((one) => !done.includes(one));
  const next = withVolumesToRemove(
    rest,
    done.map(({ name }) => name),
  );
  return left.length === 0 ? next : { ...next, volumesMoved: left };
}

/** Whether every slot whose volume came to the node has a task there that serves. */
export function servesAt(view: View, names: readonly string[], to: NodeId): boolean {
  const target = view.nodes.get(to);
  if (target === undefined) return true;
  return usersOn(view, target, names).every(({ service, slots }) => {
    const homes = slots.filter((slot) => service.homes?.[slot] === to);
    const tasks = tasksOn(view, service, to);
    return homes.every((slot) =>
      tasks.some((task) => baseOfSlot(task.slot) === slot && isServing(view, task)),
    );
  });
}

function isUsedAt(view: View, from: Node, name: string, to: NodeId): boolean {
  const isHeld = view.tasksOn(from.id).some((task) => {
    const service = view.services.get(task.serviceId);
    if (service === undefined || task.state === "removed") return false;
    return uses(service, task, from, [name]);
  });
  return !isHeld && servesAt(view, [name], to);
}

function withoutComing(node: Node, names: readonly string[]): Node {
  const { volumesComing = [], ...rest } = node;
  const left = volumesComing.filter((name) => !names.includes(name));
  return left.length === 0 ? rest : { ...rest, volumesComing: left };
}

/** A service, with those of its slots on a node that use some of the volumes, and those volumes. */
interface User {
  service: Service;
  slots: string[];
  volumes: Set<string>;
}

function usersOn(view: View, node: Node, names: readonly string[]): User[] {
  return [...view.services.values()].flatMap((service) => {
    const tasks = tasksOn(view, service, node.id);
    const volumes = new Set<string>();
    const slots = slotsOn(service, node.id, tasks).filter((slot) => {
      const holders = tasks.filter((task) => baseOfSlot(task.slot) === slot && isWanted(task));
      const used = [
        ...volumesOfSlot(service, slot, node),
        ...holders.flatMap((task) => volumesOf(service, task, node)),
      ].filter(({ volume }) => names.includes(volume));
      for (const { volume } of used) volumes.add(volume);
      return used.length > 0;
    });
    return slots.length === 0 ? [] : [{ service, slots, volumes }];
  });
}

function tasksOn(view: View, service: Service, nodeId: NodeId): Task[] {
  return view.tasksOf(service.id).filter((task) => task.nodeId === nodeId);
}

function volumesOf(service: Service, task: Task, node: Node): VolumeMount[] {
  return volumesOfTask(task, specAt(service, task.revision), node);
}

/** Whether the task mounts one of the volumes. */
function uses(service: Service, task: Task, node: Node, names: readonly string[]): boolean {
  return volumesOf(service, task, node).some(({ volume }) => names.includes(volume));
}

function isWanted(task: Task): boolean {
  return task.desired === "running";
}

/** Slots without their run: those at home on the node, and those with a task there. */
function slotsOn(service: Service, nodeId: NodeId, tasks: readonly Task[]): string[] {
  const homes = Object.entries(service.homes ?? {}).filter(([, home]) => home === nodeId);
  const held = tasks.filter(isWanted).map(({ slot }) => baseOfSlot(slot));
  return [...new Set([...homes.map(([slot]) => slot), ...held])];
}

function whyStays(
  { service, slots, volumes }: User,
  { names, source, target }: { names: readonly string[]; source: Node; target: Node },
): string | undefined {
  const spec = specOf(service);
  const name = `service ${formatServiceName(service.stack, service.name)}`;
  if (isGlobal(spec)) return `${name} is ${spec.mode}: each node has a volume of its own`;
  const here = slots.flatMap((slot) => volumesOfSlot(service, slot, source));
  const there = slots.flatMap((slot) => volumesOfSlot(service, slot, target));
  const lost = [...volumes].find((one) => !there.some(({ volume }) => volume === one));
  if (lost !== undefined) {
    return `${name} would have another volume than ${lost} there: its name goes by node or task`;
  }
  const other = here.find(
    ({ volume, driverOptions }) =>
      !names.includes(volume) && Object.keys(driverOptions).length === 0,
  );
  if (other !== undefined) return `${name} uses the volume ${other.volume} as well: move it too`;
  const unmet = unmetConstraint(target, spec.placement.constraints);
  if (unmet !== undefined) {
    const where = `on node ${target.hostname}`;
    return `${name} can't run ${where}: it does not meet ${formatConstraint(unmet)}`;
  }
  const device = spec.container.devices.find(({ source }) => !hasDevice(target, source));
  return device && `${name} needs the device ${device.source}, which node ${target.hostname} lacks`;
}
