import { reasonToLeave } from "../src/core/reconcile/leave.ts";
import type { Action, Plan } from "../src/core/reconcile/plan.ts";
import { emptySlot, slotsOf } from "../src/core/reconcile/slot.ts";
import {
  currentRevision,
  isGlobal,
  isJob,
  isOfTemplate,
  policyInForce,
  specOf,
  tieOf,
  type Service,
} from "../src/model/service.ts";
import { canMove } from "../src/model/home.ts";
import { isOutOfReach, isServing } from "../src/model/serving.ts";
import { baseOfSlot } from "../src/model/slot-name.ts";
import { isLive, isStaged, isTerminal, type Task } from "../src/model/task.ts";
import type { TaskId } from "../src/model/ids.ts";
import type { View } from "../src/model/view.ts";

/** What is wrong with a service's plan, in the view that it was made from. */
export function lintPlan(view: View, service: Service, plan: Plan, now: number): string[] {
  const update = plan.actions.find((action) => action.type === "updateService");
  // The rest of a plan goes by what the plan has found out.
  const after = update?.service ?? service;
  const problems = plan.actions.flatMap((action) => lintAction(view, service, after, action));
  const touched = plan.actions.flatMap((action) => ("taskId" in action ? [action.taskId] : []));
  if (new Set(touched).size < touched.length) problems.push("acts twice on one task");
  if (plan.wakeAt !== undefined && plan.wakeAt <= now) problems.push("wakes in the past");
  const others = [lintSlots, lintTurns, lintRetired].flatMap((lint) => lint(view, after, plan));
  return [...problems, ...others];
}

function lintAction(view: View, service: Service, after: Service, action: Action): string[] {
  switch (action.type) {
    case "createTask":
      return lintCreation(view, after, action.task);
    case "startTask": {
      const task = view.tasks.get(action.taskId);
      if (task === undefined || !isStaged(task)) return ["starts a task that is not staged"];
      const beside = view.tasksOf(task.serviceId).find((other) => {
        const isThere = !isTerminal(other.state) && !isStaged(other);
        return isThere && other.slot === task.slot && !isOutOfReach(view, other);
      });
      return beside === undefined ? [] : [`starts ${task.id} beside ${beside.id}`];
    }
    case "stopTask": {
      const task = view.tasks.get(action.taskId);
      if (task === undefined) return ["stops a task that is not there"];
      if (isOutOfReach(view, task) && !isTerminal(task.state)) return [];
      return isLive(task) ? [] : [`stops ${task.id}, which is not live`];
    }
    case "retireTask": {
      const task = view.tasks.get(action.taskId);
      if (task === undefined) return ["retires a task that is not there"];
      if (!isTerminal(task.state) || task.desired !== "running") {
        return [`retires ${task.id}, which has not ended by itself`];
      }
      return isSuperseded(view, task) ? [] : [`retires ${task.id}, which its slot goes on from`];
    }
    case "removeTask": {
      const task = view.tasks.get(action.taskId);
      if (task === undefined) return ["removes a task that is not there"];
      const hasNode = task.nodeId !== undefined;
      return hasNode && task.desired !== "removed" ? [] : [`asks in vain to remove ${task.id}`];
    }
    case "deleteTask": {
      const task = view.tasks.get(action.taskId);
      if (task === undefined) return ["forgets a task that is not there"];
      const isGone = task.state === "removed" || task.nodeId === undefined;
      if (isOutOfReach(view, task)) return [];
      return isGone ? [] : [`forgets ${task.id}, of which something may be left`];
    }
    case "updateService":
      return lintUpdate(service, action.service);
    case "holdTask":
    case "releaseTask": {
      const task = view.tasks.get(action.taskId);
      const waits = task?.state === "new" && task.desired === "running";
      return waits ? [] : [`lets ${action.taskId} wait or go on, which does not wait`];
    }
    case "deleteService":
      return service.removing && view.tasksOf(service.id).length === 0
        ? []
        : ["deletes a service that is wanted or has tasks"];
    case "deleteStack":
      return ["deletes a stack in a service's plan"];
  }
}

function lintUpdate(before: Service, after: Service): string[] {
  const tiesMore = after.homes !== before.homes;
  const problems: string[] = [];
  if (tiesMore && tieOf(specOf(before)) === undefined) problems.push("ties tasks that can move");
  if (after.version !== before.version) problems.push("changes a version by itself");
  const wasBack = before.rollout?.back;
  const isNew = currentRevision(after) !== currentRevision(before);
  if (isNew && wasBack !== undefined) problems.push("undoes what was undone");
  return problems;
}

function lintCreation(view: View, service: Service, task: Task): string[] {
  const problems: string[] = [];
  if (view.tasks.has(task.id)) problems.push(`creates ${task.id} again`);
  if (service.removing) problems.push("creates a task of a service that is being removed");
  const slot = slotsOf(view, service).get(task.slot) ?? emptySlot(service, task.slot);
  const { held } = slot;
  const wanted = held ?? currentRevision(service).revision;
  if (task.revision !== wanted) problems.push("creates an old revision");
  const waits = task.state === "new" && task.message !== "";
  if ((task.state !== "pending" && !waits) || task.nodeId !== undefined)
    problems.push("creates no pending task");
  const spec = specOf(service);
  const base = baseOfSlot(task.slot);
  const isWanted = isGlobal(spec)
    ? [...view.nodes.keys()].some((id) => id === base)
    : Number(base) >= 1 && Number(base) <= spec.replicas;
  if (!isWanted) problems.push(`creates a task in slot ${task.slot}, which nobody wants`);
  return problems;
}

/** Whether its slot holds a live task, or one that was made after it. */
function isSuperseded(view: View, task: Task): boolean {
  return view.tasksOf(task.serviceId).some((other) => {
    if (other.slot !== task.slot || other === task) return false;
    const isYounger = other.attempt - task.attempt || other.createdAt - task.createdAt;
    return isLive(other) || isYounger > 0 || (isYounger === 0 && other.id > task.id);
  });
}

/** After the plan no ended task is wanted that its slot has gone on without. */
function lintRetired(view: View, service: Service, plan: Plan): string[] {
  if (service.removing) return [];
  const acted = new Set<TaskId | undefined>();
  for (const action of plan.actions) {
    if ("taskId" in action) acted.add(action.taskId);
    if (action.type === "createTask") acted.add(action.after);
  }
  const left = wantedInVain(view, service).filter((id) => !acted.has(id));
  return left.map((id) => `leaves ${id} wanted, which its slot has gone on without`);
}

/** Ended tasks that are wanted still, and that their slot has gone on without. */
export function wantedInVain(view: View, service: Service): TaskId[] {
  return supersededIn(view, service).flatMap(({ id, desired }) =>
    desired === "running" ? id : [],
  );
}

/** Ended tasks that are not the last word of their slot, or have another one beside them. */
export function supersededIn(view: View, service: Service): Task[] {
  return [...slotsOf(view, service).values()].flatMap(({ current, ended }) =>
    current.length > 0 ? ended : ended.slice(1),
  );
}

/** No slot gets more live tasks than the update order allows. */
function lintSlots(view: View, service: Service, plan: Plan): string[] {
  const slots = slotsOf(view, service);
  const stopped = new Set(
    plan.actions.flatMap((action) => (action.type === "stopTask" ? [action.taskId] : [])),
  );
  const created = plan.actions.flatMap((action) =>
    action.type === "createTask" ? [action.task.slot] : [],
  );
  const problems: string[] = [];
  const started = plan.actions.flatMap((action) => {
    if (action.type === "startTask") return view.tasks.get(action.taskId)?.slot ?? [];
    return action.type === "createTask" && !isStaged(action.task) ? [action.task.slot] : [];
  });
  for (const name of started) {
    const away = slots.get(name)?.away.filter((task) => !stopped.has(task.id)) ?? [];
    if (away.length > 1) problems.push(`leaves ${away.length} tasks away in slot ${name}`);
  }
  if (new Set(created).size < created.length) problems.push("creates two tasks in one slot");
  for (const name of created) {
    const slot = slots.get(name);
    if (slot === undefined) continue;
    if (slot.current.length > 0) problems.push(`creates a second current task in slot ${name}`);
    const stays = slot.outdated.filter((task) => !stopped.has(task.id));
    const orders = [policyInForce(service).order, specOf(service).drain?.order];
    const startFirst = orders.includes("start-first");
    if (slot.outdated.length > 0 && !startFirst && started.includes(name)) {
      problems.push(`starts first in slot ${name}`);
    }
    if (stays.length > 1) problems.push(`leaves ${stays.length} outdated tasks in slot ${name}`);
    if (slot.outdated.length === 0 && slot.stopping.length > 0) {
      problems.push(`does not wait for the old task of slot ${name}`);
    }
  }
  return problems;
}

/**
 * An update takes no more ready tasks away at once than its parallelism, and a drain no more than
 * its own. A task that has to leave
 * the only node that can hold it would wait for nothing: it counts for none.
 */
function lintTurns(view: View, service: Service, plan: Plan): string[] {
  if (isJob(specOf(service))) return [];
  const update = policyInForce(service).parallelism;
  const most = Math.max(update, specOf(service).drain?.parallelism ?? update);
  const hasLimit = update > 0 && specOf(service).drain?.parallelism !== 0;
  const slots = slotsOf(view, service);
  const uncovered = plan.actions.filter((action) => {
    if (action.type !== "stopTask") return false;
    const task = view.tasks.get(action.taskId);
    if (task === undefined || !isServing(view, task)) return false;
    if (!canMove(service) && reasonToLeave(view, service, task) !== undefined) return false;
    const slot = slots.get(task.slot);
    const others = [...(slot?.current ?? []), ...(slot?.outdated ?? [])];
    const hasEnded = slot?.ended.some(({ state, revision }) => {
      return state === "complete" && isOfTemplate(service, revision);
    });
    return hasEnded !== true && !others.some((other) => other !== task && isServing(view, other));
  });
  if (!hasLimit || uncovered.length <= most) return [];
  return [`takes ${uncovered.length} ready tasks away at once, beyond ${most}`];
}
