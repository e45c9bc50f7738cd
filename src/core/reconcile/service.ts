import { newId } from "../../lib/ids.ts";
import { compareText, sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { unmetConstraint } from "../../model/constraint.ts";
import type { ServiceId } from "../../model/ids.ts";
import { acceptsTasks } from "../../model/node.ts";
import { currentRevision, specOf, type Service } from "../../model/service.ts";
import { isReady, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import type { Action, Plan } from "./plan.ts";
import { decideRestart, dueAt } from "./restart.ts";
import { replacementsOf } from "./replace.ts";
import { emptySlot, keeperOf, slotsOf, type Slot } from "./slot.ts";

/** Ended attempts that a slot keeps, with their containers, so that people can read their logs. */
export const HISTORY_PER_SLOT = 2;

/**
 * What to do so that the service comes nearer to what it should be. Level-triggered: it looks at
 * what is there, never at what happened. An empty plan means that nothing is to do before `wakeAt`.
 * @param now milliseconds since 1970
 */
export function planService(view: View, id: ServiceId, now: number, random: Random): Plan {
  const service = view.services.get(id);
  if (service === undefined) return { actions: [] };
  const tasks = view.tasksOf(id);
  if (service.removing) return planRemoval(service, tasks);

  const slots = slotsOf(tasks, service.templateRevision);
  const wanted = wantedSlots(view, service);
  const draw = random.split(`service/${id}/${view.version}`);
  const plan: Plan = { actions: [] };
  const wake = (at: number) => (plan.wakeAt = Math.min(plan.wakeAt ?? at, at));

  const filled = wanted.map((name) => slots.get(name) ?? emptySlot(name));
  for (const slot of filled) {
    plan.actions.push(...stopDuplicates(slot), ...trimHistory(slot));
    const start = nextAttempt(service, slot, now);
    if (start === undefined) continue;
    if (start.at > now) wake(start.at);
    else plan.actions.push(createTask(service, slot, start.failures, now, draw));
  }
  const replacements = replacementsOf(service, filled, now);
  if (replacements.wakeAt !== undefined) wake(replacements.wakeAt);
  for (const task of replacements.stop) plan.actions.push(stopForUpdate(service, task));
  for (const { slot, failures } of replacements.start) {
    plan.actions.push(createTask(service, slot, failures, now, draw));
  }
  const kept = new Set(wanted);
  for (const slot of sortedBy(slots.values(), (s) => s.slot)) {
    if (!kept.has(slot.slot)) plan.actions.push(...removeSlot(slot));
  }
  return plan;
}

/** `1` to `replicas`, or the fitting nodes of a global service. */
function wantedSlots(view: View, service: Service): string[] {
  const spec = specOf(service);
  if (spec.mode === "replicated") {
    return Array.from({ length: spec.replicas }, (_, i) => String(i + 1));
  }
  const holds = new Set(view.tasksOf(service.id).map((task) => task.slot));
  const nodes = [...view.nodes.values()].filter((node) => {
    if (!node.roles.agent || node.availability === "drain") return false;
    if (unmetConstraint(node, spec.placement.constraints) !== undefined) return false;
    // A node that is paused or away keeps the task that it has, but gets no first one.
    return holds.has(node.id) || acceptsTasks(node);
  });
  return nodes.map((node) => node.id).sort(compareText);
}

/**
 * When an empty slot is to be filled, and after how many failures in a row; undefined when it is
 * not empty, waits for a task to end, or has ended for good.
 */
function nextAttempt(
  service: Service,
  slot: Slot,
  now: number,
): { at: number; failures: number } | undefined {
  if (slot.current.length > 0 || slot.outdated.length > 0) return undefined;
  if (slot.stopping.length > 0) return undefined;
  const latest = slot.ended[0];
  if (latest === undefined || latest.revision < service.templateRevision) {
    return { at: 0, failures: 0 };
  }
  const decision = decideRestart(latest, specOf(service).restart);
  if (decision.type !== "retry") return undefined;
  return { at: dueAt(decision, now), failures: decision.failures };
}

function createTask(
  service: Service,
  slot: Slot,
  failures: number,
  now: number,
  random: Random,
): Action {
  const task: Task = {
    id: newId<"task">(random.split(slot.slot)),
    serviceId: service.id,
    stack: service.stack,
    service: service.name,
    slot: slot.slot,
    revision: currentRevision(service).revision,
    createdAt: now,
    attempt: attemptsOf(slot) + 1,
    failures,
    desired: "running",
    state: "pending",
    health: "none",
    message: "",
    since: now,
    version: 0,
  };
  return { type: "createTask", task };
}

/** The number of the slot's latest task. */
function attemptsOf({ current, outdated, stopping, ended }: Slot): number {
  const tasks = [...current, ...outdated, ...stopping, ...ended];
  return tasks.reduce((latest, task) => Math.max(latest, task.attempt), 0);
}

function stopForUpdate(service: Service, task: Task): Action {
  const { revision } = currentRevision(service);
  return { type: "stopTask", taskId: task.id, reason: `replaced by revision ${revision}` };
}

/** A slot holds one task; two can meet there when a task that was thought lost comes back. */
function stopDuplicates(slot: Slot): Action[] {
  const keeper = keeperOf(slot.current);
  const extra = slot.current.filter((task) => task !== keeper);
  return extra.map((task) => ({
    type: "stopTask",
    taskId: task.id,
    reason: "another task holds its slot",
  }));
}

function trimHistory(slot: Slot): Action[] {
  const visible = slot.ended.filter((task) => task.desired !== "removed");
  const gone = slot.ended.filter((task) => task.desired === "removed");
  return [...visible.slice(HISTORY_PER_SLOT).flatMap(letGo), ...gone.flatMap(letGo)];
}

function removeSlot(slot: Slot): Action[] {
  return [...slot.current, ...slot.outdated, ...slot.stopping, ...slot.ended].flatMap(letGo);
}

/** The next step on a task's way out: ask its node to remove it, then forget it. */
function letGo(task: Task): Action[] {
  if (task.state === "removed" || task.nodeId === undefined) {
    return [{ type: "deleteTask", taskId: task.id }];
  }
  return task.desired === "removed" ? [] : [{ type: "removeTask", taskId: task.id }];
}

function planRemoval(service: Service, tasks: readonly Task[]): Plan {
  if (tasks.length === 0) {
    return { actions: [{ type: "deleteService", serviceId: service.id }] };
  }
  return { actions: sortedBy(tasks, (task) => task.id).flatMap(letGo) };
}

/** Whether every wanted slot holds a ready current task and nothing else is left to stop. */
export function isConverged(view: View, service: Service): boolean {
  if (service.removing) return false;
  const tasks = view.tasksOf(service.id);
  const slots = slotsOf(tasks, service.templateRevision);
  const wanted = wantedSlots(view, service);
  const { restart, mode } = specOf(service);
  // A global service that fits nowhere runs nowhere, and nobody asks for that.
  if (mode === "global" && wanted.length === 0) return false;
  const settled = wanted.every((name) => {
    const slot = slots.get(name) ?? emptySlot(name);
    if (slot.outdated.length > 0 || slot.stopping.length > 0) return false;
    if (slot.current.length > 0) return slot.current.length === 1 && slot.current.every(isReady);
    const latest = slot.ended[0];
    if (latest === undefined || latest.revision < service.templateRevision) return false;
    return decideRestart(latest, restart).type === "done";
  });
  const kept = new Set(wanted);
  return settled && tasks.every((task) => kept.has(task.slot) || isTerminal(task.state));
}

/** How many tasks the service wants at once now. */
export function wantedTasks(view: View, service: Service): number {
  return service.removing ? 0 : wantedSlots(view, service).length;
}
