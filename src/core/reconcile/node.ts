import { plural } from "../../lib/text.ts";
import { put, remove, type Change } from "../../model/change.ts";
import { type Node, VOLUMES_TO_REMOVE_MAX } from "../../model/node.ts";
import type { NodeId } from "../../model/ids.ts";
import { specAt } from "../../model/service.ts";
import { volumesOfTask } from "../../model/task-volumes.ts";
import { isTerminal } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

export interface NodeRemoval {
  changes: Change[];
  /** Why the node stays, in one sentence; `changes` is empty then. */
  problem?: string;
}

/**
 * The end of a node: what it holds is lost at once, and its slots are filled elsewhere.
 * @param options.force also while it is there and holds tasks
 * @param options.now milliseconds since 1970
 */
export function planNodeRemoval(
  view: View,
  node: Node,
  { force, now }: { force: boolean; now: number },
): NodeRemoval {
  const tasks = view.tasksOn(node.id).filter((task) => !isTerminal(task.state));
  const problem = problemOf(node, tasks.length, force);
  if (problem !== undefined) return { changes: [], problem };
  const message = `node ${node.hostname} was removed`;
  const ending = { state: "lost", health: "none", since: now, finishedAt: now, message } as const;
  const lost = tasks.map((task) => put.task({ ...task, ...ending }));
  return { changes: [remove.node(node), ...lost] };
}

function problemOf(node: Node, tasks: number, force: boolean): string | undefined {
  if (node.health === "down") return undefined;
  if (node.roles.server) return `node ${node.hostname} runs the server: it can't be removed`;
  if (force || tasks === 0) return undefined;
  const holds = `is ${node.health} and holds ${plural(tasks, "task")}`;
  return `node ${node.hostname} ${holds}: drain it first, or remove it with --force`;
}

export interface LabelChange {
  set: Readonly<Record<string, string>>;
  remove: readonly string[];
}

/** The most labels that a node can have. */
export const LABELS_MAX = 128;

/** The node with other labels, or the very same object when nothing changes. */
export function withLabels(node: Node, change: LabelChange): Node {
  const labels = new Map([...Object.entries(node.labels), ...Object.entries(change.set)]);
  for (const key of change.remove) labels.delete(key);
  const same =
    labels.size === Object.keys(node.labels).length &&
    [...labels].every(([key, value]) => node.labels[key] === value);
  return same ? node : { ...node, labels: Object.fromEntries(labels) };
}

/** The node with more volumes to remove; of far too many the oldest are left to people. */
export function withVolumesToRemove(node: Node, names: readonly string[]): Node {
  const all = [...new Set([...(node.volumesToRemove ?? []), ...names])];
  return { ...node, volumesToRemove: all.slice(-VOLUMES_TO_REMOVE_MAX) };
}

/** The node after it has removed these volumes. */
export function withoutVolumesToRemove(node: Node, names: readonly string[]): Node {
  const { volumesToRemove = [], ...rest } = node;
  const left = volumesToRemove.filter((name) => !names.includes(name));
  return left.length === 0 ? rest : { ...rest, volumesToRemove: left };
}

/** The volumes that tasks of a node hold, those included that have ended and keep their log. */
export function volumesHeldOn(view: View, nodeId: NodeId): Set<string> {
  const held = new Set<string>();
  const node = view.nodes.get(nodeId);
  for (const task of view.tasksOn(nodeId)) {
    const service = view.services.get(task.serviceId);
    if (node === undefined || service === undefined || task.state === "removed") continue;
    for (const { volume } of volumesOfTask(task, specAt(service, task.revision), node)) {
      held.add(volume);
    }
  }
  return held;
}
