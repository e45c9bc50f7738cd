import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** When a task has to be off its node even if nothing took its place, in ms since 1970. */
export function drainDeadlineOf(view: View, task: Task): number | undefined {
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  return node?.availability === "drain" ? node.drainBy : undefined;
}
