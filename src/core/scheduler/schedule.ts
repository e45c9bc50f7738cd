import { assert } from "../../lib/assert.ts";
import { sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { formatWait } from "../../model/home.ts";
import type { NodeId, ServiceId, TaskId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { PRIORITY_MAX, priorityOf, type Service } from "../../model/service.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { bondIndexOf, followsOthers } from "./affinity.ts";
import { candidateOf, type Candidate } from "./candidate.ts";
import { Claims } from "./claims.ts";
import { refusalOf } from "./filters.ts";
import { addTask, loadOf, type NodeLoad } from "./load.ts";
import { meritsOf } from "./merits.ts";
import { guestOf, type Guest } from "./room.ts";
import { bestOption, type Option } from "./score.ts";

export interface Placement {
  taskId: TaskId;
  nodeId: NodeId;
  /** What it gets of the node's devices; absent where it asks for none. */
  devices?: string[];
}

/** A task for which there is no node now, and why: one reason for people. */
export interface Unplaced {
  taskId: TaskId;
  message: string;
}

export interface Schedule {
  placements: Placement[];
  unplaced: Unplaced[];
}

/**
 * Finds a node for each of `tasks`, which are pending, one after the other, so that each sees what
 * the ones before it took. The same view, tasks and seed give the same answer.
 * @param isOutOfTouch whether a node runs, but can't be told of a task for now: any other is better
 */
export function schedule(
  view: View,
  tasks: readonly Task[],
  random: Random,
  isOutOfTouch: (nodeId: NodeId) => boolean = () => false,
): Schedule {
  const result: Schedule = { placements: [], unplaced: [] };
  const nodes = sortedBy(view.nodes.values(), (node) => node.id);
  const loads = new Map<NodeId, NodeLoad>();
  /** What this run has put where already, by slot. */
  const placed = new Map<string, NodeId[]>();
  const affinity = { index: bondIndexOf(view), placed: new Map<ServiceId, NodeId[]>() };
  const loadAt = (node: Node): NodeLoad => {
    const known = loads.get(node.id) ?? loadOf(view, node.id);
    loads.set(node.id, known);
    return known;
  };
  const claims = new Claims(view);
  const guests: Guest[] = [];
  const lowest = Math.min(...tasks.map((task) => priorityIn(view, task)));
  for (const task of inTurn(view, tasks)) {
    const service = view.services.get(task.serviceId);
    assert(service !== undefined, `task ${task.id} has a service`);
    const priority = priorityOf(service);
    for (const guest of claims.take(priority)) {
      const node = view.nodes.get(guest.nodeId);
      if (node !== undefined) addTask(loadAt(node), guest.task, guest.spec);
    }
    const slot = `${task.serviceId}/${task.slot}`;
    const held = candidateOf(view, service, task, affinity);
    const candidate = { ...held, slotNodes: [...held.slotNodes, ...(placed.get(slot) ?? [])] };
    const { options, refusals } = consider(candidate, nodes, loadAt);
    const draws = random.split(`scheduler/${task.serviceId}/${task.slot}`);
    const inTouch = options.filter(({ node }) => !isOutOfTouch(node.id));
    const pool = inTouch.length > 0 ? inTouch : options;
    const best = bestOption(candidate, pool, (node) => draws.split(node.id).next());
    if (best === undefined) {
      const message = formatHomeRefusal(service, candidate, loadAt) ?? formatRefusals(refusals);
      result.unplaced.push({ taskId: task.id, message });
      if (priority > lowest) claims.note(candidate, priority, guests);
      continue;
    }
    const guest = guestOf(candidate, best.node, best.load);
    addTask(best.load, guest.task, guest.spec);
    guests.push(guest);
    placed.set(slot, [...(placed.get(slot) ?? []), best.node.id]);
    const company = affinity.placed.get(service.id) ?? [];
    affinity.placed.set(service.id, [...company, best.node.id]);
    const { devices } = guest.task;
    const gift = devices === undefined ? {} : { devices };
    result.placements.push({ taskId: task.id, nodeId: best.node.id, ...gift });
  }
  return result;
}

function priorityIn(view: View, task: Task): number {
  const service = view.services.get(task.serviceId);
  return service === undefined ? 0 : priorityOf(service);
}

/** Higher priorities first; whoever is to be near to others after them; then low slots first. */
function inTurn(view: View, tasks: readonly Task[]): Task[] {
  const ranks = new Map<ServiceId, string>();
  for (const { serviceId } of tasks) {
    const service = view.services.get(serviceId);
    if (service === undefined || ranks.has(serviceId)) continue;
    const rank = String(PRIORITY_MAX - priorityOf(service)).padStart(4, "0");
    ranks.set(serviceId, `${rank}/${followsOthers(service) ? 1 : 0}/${serviceId}`);
  }
  return sortedBy(tasks, ({ serviceId, slot, id }) => {
    return `${ranks.get(serviceId) ?? ""}/${slot.padStart(6, "0")}/${id}`;
  });
}

export interface NodeVerdict {
  node: Node;
  /** Undefined where the task could run. */
  reason: string | undefined;
  /** What speaks for and against a node on which it could run: what the choice goes by. */
  merits: string;
}

/** For each node, whether the task could run there now: what `orchd explain` shows. */
export function explainPlacement(view: View, task: Task): NodeVerdict[] {
  const service = view.services.get(task.serviceId);
  if (service === undefined) return [];
  const candidate = candidateOf(view, service, task);
  return sortedBy(view.nodes.values(), (node) => node.hostname).map((node) => {
    const load = loadOf(view, node.id);
    const reason = refusalOf(candidate, node, load);
    return { node, reason, merits: reason === undefined ? meritsOf(candidate, node, load) : "" };
  });
}

function consider(
  candidate: Candidate,
  nodes: readonly Node[],
  loadAt: (node: Node) => NodeLoad,
): { options: Option[]; refusals: Map<string, number> } {
  const options: Option[] = [];
  const refusals = new Map<string, number>();
  for (const node of nodes) {
    const load = loadAt(node);
    const reason = refusalOf(candidate, node, load);
    if (reason === undefined) options.push({ node, load });
    else refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
  }
  return { options, refusals };
}

/** Why the only node that could hold the task does not; undefined when any node could. */
function formatHomeRefusal(
  service: Service,
  candidate: Candidate,
  loadAt: (node: Node) => NodeLoad,
): string | undefined {
  const { home } = candidate;
  const reason = home && refusalOf(candidate, home, loadAt(home));
  return reason === undefined || home === undefined ? undefined : formatWait(service, home, reason);
}

/** `no node fits: each of 2 nodes is drained; 1 node has …`, the most frequent reason first. */
function formatRefusals(refusals: ReadonlyMap<string, number>): string {
  if (refusals.size === 0) return "no node has joined the cluster yet";
  const counted = [...refusals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const reasons = counted.map(
    ([reason, count]) => `${count === 1 ? "1 node" : `each of ${count} nodes`} ${reason}`,
  );
  return `no node fits: ${reasons.join("; ")}`;
}
