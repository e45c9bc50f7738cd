import { sortedBy } from "../../lib/order.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { usesDevices, type ServiceSpec } from "../../model/service.ts";
import { isLive, occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import type { Candidate } from "./candidate.ts";
import { giveDevices } from "./devices.ts";
import { firstRefusal, refusalOf, STATIC_FILTERS } from "./filters.ts";
import { addTask, loadOf, needBeyond, type NodeLoad } from "./load.ts";
import { roomGivenTo, withoutDevices } from "./staged.ts";

/** A task that gets, or is to get, room on a node, and is not there in the view yet. */
export interface Guest {
  nodeId: NodeId;
  task: Task;
  /** By which it counts: of one that is staged, what it needs beyond what others leave it. */
  spec: ServiceSpec;
}

/** Whether the task holds room that is free as soon as its end is confirmed. */
export function isEnding(task: Task): boolean {
  return occupiesNode(task) && !isLive(task);
}

/** What the node holds with `guests`, and without the tasks that `isGone` tells. */
export function loadWithout(
  view: View,
  nodeId: NodeId,
  isGone: (task: Task) => boolean,
  guests: readonly Guest[],
): NodeLoad {
  const load = loadOf(view, nodeId, (task) => !isGone(task));
  for (const { nodeId: at, task, spec } of guests) if (at === nodeId) addTask(load, task, spec);
  return load;
}

/** The task as a guest of the node, with what it gets of its devices. */
export function guestOf(candidate: Candidate, node: Node, load: NodeLoad): Guest {
  const { task, spec } = candidate;
  const given = candidate.gives.get(node.id);
  const counted = given === undefined ? spec : needBeyond(given, spec);
  const guest = { nodeId: node.id, task, spec: counted };
  if (!usesDevices(spec)) return guest;
  const gift = giveDevices(spec, node, withoutDevices(load, given));
  if (!("ids" in gift) || gift.ids.length === 0) return guest;
  return { ...guest, task: { ...task, devices: gift.ids } };
}

/** The candidate once the tasks that `isGone` tells have ended: it takes no place of theirs. */
export function withoutGone(
  view: View,
  candidate: Candidate,
  isGone: (task: Task) => boolean,
): Candidate {
  const { task, slotNodes } = candidate;
  if (slotNodes.length === 0) return candidate;
  const others = view.tasksOf(task.serviceId).filter((other) => other.slot === task.slot);
  const held = others.filter((one) => one.id !== task.id && occupiesNode(one) && !isGone(one));
  const left = held.flatMap(({ nodeId }) => nodeId ?? []);
  const service = view.services.get(task.serviceId);
  const gives = service && roomGivenTo(view, service, task, left, isGone);
  return { ...candidate, slotNodes: left, ...(gives === undefined ? {} : { gives }) };
}

/** The task on the first node, by id, that has room for it when all that is ending has ended. */
export function guestSoon(
  view: View,
  candidate: Candidate,
  guests: readonly Guest[],
  isGone: (task: Task) => boolean = isEnding,
): Guest | undefined {
  const then = withoutGone(view, candidate, isGone);
  for (const node of sortedBy(view.nodes.values(), ({ id }) => id)) {
    if (!view.tasksOn(node.id).some(isGone)) continue;
    const load = loadWithout(view, node.id, isGone, guests);
    if (refusalOf(then, node, load) === undefined) return guestOf(then, node, load);
  }
  return undefined;
}

/** Nodes that could hold the task if they were empty of others. */
export function nodesInQuestion(view: View, candidate: Candidate): Node[] {
  return [...view.nodes.values()].filter((node) => {
    return firstRefusal(STATIC_FILTERS, candidate, node, loadOf(view, node.id)) === undefined;
  });
}
