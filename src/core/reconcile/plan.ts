import type { Change } from "../../model/change.ts";
import { put, remove } from "../../model/change.ts";
import type { ServiceId, TaskId } from "../../model/ids.ts";
import type { Service } from "../../model/service.ts";
import { isOutOfReach } from "../../model/serving.ts";
import type { Task } from "../../model/task.ts";
import { isTerminal } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { leaveItems } from "./items.ts";

/** One item of a plan; executing it leaves nothing to decide. */
export type Action =
  /** `after`: the ended task that it follows, which nobody is to start again any more. */
  | { type: "createTask"; task: Task; after?: TaskId }
  /** Let a task start that was only to be prepared: nobody is left in its slot. */
  | { type: "startTask"; taskId: TaskId }
  /** Ask the task to end; its container is kept for its logs. */
  | { type: "stopTask"; taskId: TaskId; reason: string }
  /** Nobody is to start the ended task again; its container is kept for its logs. */
  | { type: "retireTask"; taskId: TaskId }
  /** Ask for the task and its container to go. */
  | { type: "removeTask"; taskId: TaskId }
  /** Nothing of it is left on any node: forget it. */
  | { type: "deleteTask"; taskId: TaskId }
  /**
   * Remember what was found out: the nodes that hold what ties tasks, how far a rollout is, and
   * when it failed the revision that goes back.
   */
  | { type: "updateService"; service: Service }
  /** Say what a task waits for that has not begun. */
  | { type: "holdTask"; taskId: TaskId; message: string }
  /** Nothing holds the task back any more: it may be placed. */
  | { type: "releaseTask"; taskId: TaskId }
  | { type: "deleteService"; serviceId: ServiceId }
  | { type: "deleteStack"; name: string };

export interface Plan {
  actions: Action[];
  /** Look again at this time (ms since 1970), if nothing happens before. */
  wakeAt?: number;
}

/**
 * The writes that carry out a plan made from the same view. A task that has no node yet ends at
 * once: there is nobody to ask. One on a node that is down is lost: nobody answers.
 * @param now milliseconds since 1970
 */
export function changesOf(view: View, actions: readonly Action[], now: number): Change[] {
  return actions.flatMap((action) => changeOf(view, action, now));
}

function changeOf(view: View, action: Action, now: number): Change[] {
  switch (action.type) {
    case "createTask":
      return [put.task(action.task), ...endOf(view, action.after, now)];
    case "startTask":
      return withTask(view, action.taskId, (task) => put.task({ ...task, desired: "running" }));
    case "stopTask":
      return withTask(view, action.taskId, (task) =>
        put.task(stopped(view, task, action.reason, now)),
      );
    case "retireTask":
      return endOf(view, action.taskId, now);
    case "removeTask":
      return withTask(view, action.taskId, (task) => put.task({ ...task, desired: "removed" }));
    case "deleteTask":
      return withTask(view, action.taskId, remove.task);
    case "updateService":
      return [put.service(action.service)];
    case "holdTask":
      return withTask(view, action.taskId, (task) =>
        put.task({ ...task, message: action.message }),
      );
    case "releaseTask":
      return withTask(view, action.taskId, (task) =>
        put.task({ ...task, state: "pending", since: now, message: "" }),
      );
    case "deleteService": {
      const service = view.services.get(action.serviceId);
      return service === undefined ? [] : [remove.service(service)];
    }
    case "deleteStack": {
      const stack = view.stacks.get(action.name);
      if (stack === undefined) return [];
      return [remove.stack(stack), ...leaveItems(view, stack.name)];
    }
  }
}

/** A node that is alone goes on with what is wanted: not with a task that has a successor. */
function endOf(view: View, id: TaskId | undefined, now: number): Change[] {
  if (id === undefined) return [];
  return withTask(view, id, (task) => put.task(stopped(view, task, "", now)));
}

function withTask(view: View, id: TaskId, change: (task: Task) => Change): Change[] {
  const task = view.tasks.get(id);
  return task === undefined ? [] : [change(task)];
}

function stopped(view: View, task: Task, reason: string, now: number): Task {
  if (isTerminal(task.state)) return { ...task, desired: "shutdown" };
  const ending = { since: now, finishedAt: now, message: reason };
  if (task.nodeId === undefined) {
    return { ...task, desired: "shutdown", state: "shutdown", ...ending };
  }
  if (!isOutOfReach(view, task)) return { ...task, desired: "shutdown", message: reason };
  return { ...task, desired: "shutdown", state: "lost", health: "none", ...ending };
}
