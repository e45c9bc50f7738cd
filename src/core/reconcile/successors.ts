import type { NodeId } from "../../model/ids.ts";
import type { Successor } from "../../model/successor.ts";
import { isLive, isTerminal, withStatus, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/**
 * The tasks that change when a node comes back with tasks that its agent made while it was alone:
 * each that was to be restarted has ended, and its successor is there. A successor stands for the
 * same attempt as the task before it, so that one that was made elsewhere in the meantime is the
 * younger of the two. Those of tasks that were told to end, or are none of the node's, are left
 * out: their agent removes them with its next assignment set.
 * @param now milliseconds since 1970
 */
export function takeUpSuccessors(
  view: View,
  nodeId: NodeId,
  successors: readonly Successor[],
  now: number,
): Task[] {
  const taken = new Set<string>();
  return successors.flatMap((successor) => {
    const before = view.tasks.get(successor.predecessor);
    if (before === undefined || before.nodeId !== nodeId || taken.has(before.id)) return [];
    if (view.tasks.has(successor.taskId) || taken.has(successor.taskId)) return [];
    const earlier = earlierSuccessor(view, before);
    if (before.desired !== "running" && earlier === undefined) return [];
    const { ended, taskId, failures, createdAt } = successor;
    if (ended.taskId !== before.id || !isTerminal(ended.state)) return [];
    taken.add(before.id).add(taskId);
    const { serviceId, stack, service, slot, revision, attempt } = before;
    const made: Task = {
      id: taskId,
      serviceId,
      stack,
      service,
      slot,
      revision,
      // Its node's clock may be wrong: it is younger than the task before it, and made by now.
      createdAt: Math.max((earlier ?? before).createdAt + 1, Math.min(createdAt, now)),
      attempt,
      failures,
      nodeId,
      ...(before.devices === undefined ? {} : { devices: before.devices }),
      desired: "running",
      state: "assigned",
      health: "none",
      message: "started by its node while no server was in reach",
      since: now,
      version: 0,
    };
    // It has its successor: nobody is to make it another one. What was to go from here still is.
    const desired = before.desired === "removed" ? "removed" : "shutdown";
    const over: Task = { ...withStatus(before, ended), desired };
    return earlier === undefined ? [over, made] : [over, endOf(earlier, now), made];
  });
}

/**
 * A successor that was taken up before, where the connection broke before its agent heard of that.
 * The agent has made another one by now, and so that one has ended.
 */
function earlierSuccessor(view: View, before: Task): Task | undefined {
  return view.tasksOf(before.serviceId).find((task) => {
    const isOfSlot = task.slot === before.slot && task.nodeId === before.nodeId;
    return isOfSlot && task.id !== before.id && task.attempt === before.attempt && isLive(task);
  });
}

function endOf(task: Task, now: number): Task {
  const message = "ended while no server was in reach";
  const ending = { state: "lost", health: "none", since: now, finishedAt: now, message } as const;
  return { ...task, desired: "shutdown", ...ending };
}
