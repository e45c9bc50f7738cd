import type { Node } from "./node.ts";
import { isReady, type Task } from "./task.ts";
import type { View } from "./view.ts";

/** The node of the task while it is down: nothing that was last heard of the task counts then. */
export function downNodeOf(view: Pick<View, "nodes">, task: Task): Node | undefined {
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  return node?.health === "down" ? node : undefined;
}

/** Whether nobody can be told anything of the task: its node is down, or not of the cluster. */
export function isOutOfReach(view: Pick<View, "nodes">, task: Task): boolean {
  if (task.nodeId === undefined) return false;
  return view.nodes.get(task.nodeId)?.health === "down" || !view.nodes.has(task.nodeId);
}

/** Whether the task should receive traffic: it is ready, and its node is there. */
export function isServing(view: Pick<View, "nodes">, task: Task): boolean {
  return isReady(task) && downNodeOf(view, task) === undefined;
}
