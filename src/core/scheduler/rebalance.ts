import { newId } from "../../lib/ids.ts";
import { sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { nodeValue } from "../../model/constraint.ts";
import { canMove } from "../../model/home.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { specOf, type Service } from "../../model/service.ts";
import { isServing } from "../../model/serving.ts";
import { isLive, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { candidateOf } from "./candidate.ts";
import { nodesInQuestion } from "./room.ts";
import { schedule, type ScheduleOptions } from "./schedule.ts";

/** For so long nothing of the service has begun, and the nodes have been as they are. */
const QUIET_MS = 60_000;

export interface Rebalance {
  /** The one task that is to go to another node, by the service's order of updates. */
  move?: { task: Task; reason: string };
  /** Look again at this time (ms since 1970). */
  wakeAt?: number;
}

/**
 * Which task of a service that asks for it moves, so that its tasks are spread better: one at a
 * time, from a place that has at least two more than another, while all of them are well. Where the
 * scheduler would not put it in the emptier place, it stays.
 * @param now milliseconds since 1970
 */
export function planRebalance(
  view: View,
  service: Service,
  now: number,
  random: Random,
  options: ScheduleOptions = {},
): Rebalance {
  const { rebalance, placement } = specOf(service);
  const strategy = placement.strategy ?? options.strategy ?? "spread";
  const wanted = rebalance === "gentle" && strategy === "spread";
  if (!wanted || service.removing || !canMove(service)) return {};
  const tasks = view.tasksOf(service.id);
  const first = tasks.find(isLive);
  if (first === undefined) return {};
  const nodes = nodesInQuestion(view, candidateOf(view, service, first));
  const gap = widestGap(nodes, countsOf(tasks), [...placement.spread, "node.id"]);
  if (gap === undefined) return {};
  const quietAt = quietSince(tasks, gap.to, now) + QUIET_MS;
  if (quietAt > now) return { wakeAt: quietAt };
  // Whatever is under way ends, and a look then finds it.
  if (!isAtRest(view, service, tasks)) return { wakeAt: now + QUIET_MS };
  const task = youngest(tasks.filter(({ nodeId }) => nodeId === gap.from.id));
  const target = task && targetOf(view, task, random, options);
  if (task === undefined || target === undefined || !gap.to.includes(target)) return {};
  const reason = `moves to balance: node ${target.hostname} has fewer tasks of the service`;
  return { move: { task, reason } };
}

/** A place with at least two tasks more than another. */
interface Gap {
  /** The fullest node of the fuller place. */
  from: Node;
  /** The nodes of the emptier place. */
  to: Node[];
}

/** The first gap, by the outermost key at which there is one. */
function widestGap(
  nodes: readonly Node[],
  counts: ReadonlyMap<NodeId, number>,
  [key, ...rest]: readonly string[],
): Gap | undefined {
  if (key === undefined) return undefined;
  const count = (node: Node) => counts.get(node.id) ?? 0;
  const groups = [...Map.groupBy(nodes, (node) => nodeValue(node, key) ?? "")]
    .map(([value, members]) => {
      return { value, members, tasks: members.reduce((sum, node) => sum + count(node), 0) };
    })
    .sort((a, b) => b.tasks - a.tasks || (a.value < b.value ? -1 : 1));
  const [fullest, emptiest] = [groups[0], groups.at(-1)];
  if (fullest === undefined || emptiest === undefined) return undefined;
  if (fullest.tasks - emptiest.tasks >= 2) {
    const least = groups.filter((group) => group.tasks === emptiest.tasks);
    const [from] = sortedBy(fullest.members, ({ id }) => id).sort((a, b) => count(b) - count(a));
    return from && { from, to: least.flatMap(({ members }) => members) };
  }
  for (const { members } of groups) {
    const gap = widestGap(members, counts, rest);
    if (gap !== undefined) return gap;
  }
  return undefined;
}

function countsOf(tasks: readonly Task[]): Map<NodeId, number> {
  const counts = new Map<NodeId, number>();
  for (const task of tasks) {
    if (task.nodeId === undefined || !isLive(task)) continue;
    counts.set(task.nodeId, (counts.get(task.nodeId) ?? 0) + 1);
  }
  return counts;
}

/** Since when no task has begun and no emptier node has changed; not what a wrong clock tells. */
function quietSince(tasks: readonly Task[], nodes: readonly Node[], now: number): number {
  const times = [...tasks.map((task) => task.createdAt), ...nodes.map((node) => node.since)];
  return Math.max(0, ...times.filter((at) => at <= now));
}

/** Whether each slot has one task, which is well and of the newest template, and nothing ends. */
function isAtRest(view: View, service: Service, tasks: readonly Task[]): boolean {
  const there = tasks.filter((task) => !isTerminal(task.state));
  const slots = new Set(there.map(({ slot }) => slot));
  return (
    slots.size === there.length &&
    there.every((task) => {
      const isNew = task.revision >= service.templateRevision && task.leave === undefined;
      return isNew && isLive(task) && isServing(view, task);
    })
  );
}

function youngest(tasks: readonly Task[]): Task | undefined {
  return sortedBy(tasks, ({ id }) => id)
    .sort((a, b) => b.createdAt - a.createdAt)
    .find(isLive);
}

/** Where the scheduler would put the next task of the slot. */
function targetOf(
  view: View,
  task: Task,
  random: Random,
  options: ScheduleOptions,
): Node | undefined {
  const { nodeId: _, startedAt: __, devices: ___, ...rest } = task;
  const next: Task = { ...rest, id: newId<"task">(random), state: "pending", health: "none" };
  const [placement] = schedule(view, [next], random, options).placements;
  return placement && view.nodes.get(placement.nodeId);
}
