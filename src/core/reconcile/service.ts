import { newId } from "../../lib/ids.ts";
import { compareText, sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { homeOf } from "../../model/home.ts";
import { unmetConstraint } from "../../model/constraint.ts";
import type { ServiceId } from "../../model/ids.ts";
import { acceptsTasks } from "../../model/node.ts";
import { currentRevision, isOfTemplate, specOf, type Service } from "../../model/service.ts";
import { isOutOfReach, isServing } from "../../model/serving.ts";
import { isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { homesOf, replaceAt, replacedAway, surplusOf, type Surplus } from "./disconnect.ts";
import { isOfSlot, revisionFor } from "./held.ts";
import { reasonToLeave } from "./leave.ts";
import type { Action, Plan } from "./plan.ts";
import { decideRestart, dueAt } from "./restart.ts";
import { releasedIn, replacementsOf } from "./replace.ts";
import { stepRollout } from "./rollout.ts";
import { emptySlot, slotsOf, tasksIn, type Slot } from "./slot.ts";

/** Ended attempts that a slot keeps, with their containers, so that people can read their logs. */
export const HISTORY_PER_SLOT = 2;

/**
 * What to do so that the service comes nearer to what it should be. Level-triggered: it looks at
 * what is there, never at what happened. An empty plan means that nothing is to do before `wakeAt`.
 * @param now milliseconds since 1970
 * @param stalledMs for how long no slot of a rollout got further; 0 where nobody keeps an eye on it
 */
export function planService(
  view: View,
  id: ServiceId,
  now: number,
  random: Random,
  stalledMs = 0,
): Plan {
  const known = view.services.get(id);
  if (known === undefined) return { actions: [] };
  if (known.removing) return planRemoval(view, known, view.tasksOf(id));

  const look = { view, wanted: wantedSlots(view, known), now, stalledMs };
  const step = stepRollout(known, look);
  const { service } = step;
  const slots = slotsOf(view, service);
  const wanted = wantedSlots(view, service);
  const draw = random.split(`service/${id}/${view.version}`);
  const plan: Plan = { actions: [] };
  const wake = (at: number) => (plan.wakeAt = Math.min(plan.wakeAt ?? at, at));
  if (step.wakeAt !== undefined) wake(step.wakeAt);

  const filled = wanted.map((name) => slots.get(name) ?? emptySlot(service, name));
  for (const slot of filled) {
    plan.actions.push(...giveUpAbandoned(view, slot), ...trimHistory(view, slot));
    const surplus = surplusOf(view, service, slot, now);
    if (surplus !== undefined && surplus.at > now) wake(surplus.at);
    else if (surplus !== undefined) plan.actions.push(...stopSurplus(view, surplus));
    const released = releasedIn(view, service, slot);
    if (released !== undefined) plan.actions.push({ type: "startTask", taskId: released.id });
    const start = nextAttempt(view, service, slot, now);
    if (start === undefined) continue;
    if (start.at > now) wake(start.at);
    else {
      const how = { failures: start.failures, desired: "running" } as const;
      plan.actions.push(...fillSlot(service, slot, how, now, draw));
    }
  }
  const replacements = replacementsOf(view, service, filled, now);
  if (replacements.wakeAt !== undefined) wake(replacements.wakeAt);
  for (const task of replacements.stop) {
    plan.actions.push(stopOutdated(view, service, slots.get(task.slot), task));
  }
  for (const { slot, failures, staged } of replacements.start) {
    const desired = staged ? "prepared" : "running";
    plan.actions.push(...fillSlot(service, slot, { failures, desired }, now, draw));
  }
  const homes = homesOf(service, slots.values());
  const isTied = homes !== undefined && homes !== service.homes;
  const next = isTied ? { ...service, homes } : service;
  if (next !== known) plan.actions.push({ type: "updateService", service: next });
  const kept = new Set(wanted);
  for (const slot of sortedBy(slots.values(), (s) => s.slot)) {
    if (!kept.has(slot.slot)) plan.actions.push(...removeSlot(view, slot));
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
 * When a slot in which nobody is left is to be filled, and after how many failures in a row;
 * undefined when somebody is, waits for a task to end or for a node, or has ended for good.
 */
function nextAttempt(
  view: View,
  service: Service,
  slot: Slot,
  now: number,
): { at: number; failures: number } | undefined {
  if (slot.current.length > 0 || slot.outdated.length > 0 || slot.stopping.length > 0) {
    return undefined;
  }
  const replace = slot.away.length === 0 ? 0 : replaceAt(view, service, slot, now);
  if (replace === undefined) return undefined;
  const latest = slot.ended[0];
  const others = [...slot.away, ...slot.abandoned].map(({ attempt }) => attempt);
  const isNews = latest !== undefined && latest.attempt > Math.max(0, ...others);
  if (!isNews || !isOfSlot(service, slot.held, latest)) return { at: replace, failures: 0 };
  const decision = decideRestart(latest, specOf(service).restart);
  if (decision.type !== "retry") return undefined;
  return { at: Math.max(replace, dueAt(decision, now)), failures: decision.failures };
}

/** A new task for the slot; at most one beside it may come back from a node that is down. */
function fillSlot(
  service: Service,
  slot: Slot,
  how: Pick<Task, "failures" | "desired">,
  now: number,
  random: Random,
): Action[] {
  const replaced = replacedAway(slot).map((task): Action => {
    return { type: "stopTask", taskId: task.id, reason: "another task took its place" };
  });
  return [...replaced, createTask(service, slot, how, now, random)];
}

function createTask(
  service: Service,
  slot: Slot,
  how: Pick<Task, "failures" | "desired">,
  now: number,
  random: Random,
): Action {
  const task: Task = {
    id: newId<"task">(random.split(slot.slot)),
    serviceId: service.id,
    stack: service.stack,
    service: service.name,
    slot: slot.slot,
    revision: revisionFor(service, slot.held),
    createdAt: now,
    attempt: attemptsOf(slot) + 1,
    ...how,
    state: "pending",
    health: "none",
    message: "",
    since: now,
    version: 0,
  };
  const before = slot.ended.slice(0, HISTORY_PER_SLOT).find((ended) => ended.desired === "running");
  return { type: "createTask", task, ...(before === undefined ? {} : { after: before.id }) };
}

/** The number of the slot's latest task. */
function attemptsOf(slot: Slot): number {
  return tasksIn(slot).reduce((latest, task) => Math.max(latest, task.attempt), 0);
}

function stopOutdated(view: View, service: Service, slot: Slot | undefined, task: Task): Action {
  const { revision } = currentRevision(service);
  const why = reasonToLeave(view, service, task);
  const isOld = !isOfSlot(service, slot?.held, task);
  const reason = isOld || why === undefined ? `replaced by revision ${revision}` : why;
  return { type: "stopTask", taskId: task.id, reason };
}

/** A slot holds one task; two meet there when a node that was thought gone comes back. */
function stopSurplus(view: View, { keeper, extra }: Surplus): Action[] {
  const node = keeper.nodeId === undefined ? undefined : view.nodes.get(keeper.nodeId);
  const where = node === undefined ? "" : ` on node ${node.hostname}`;
  const reason = `another task${where} holds its slot`;
  return extra.map((task) => ({ type: "stopTask", taskId: task.id, reason }));
}

/** Nobody waits for the end of a task whose node is down: if it is back, it is told again. */
function giveUpAbandoned(view: View, { abandoned }: Slot): Action[] {
  return abandoned.flatMap((task): Action[] => {
    if (task.desired === "removed") return letGo(view, task);
    const name = (task.nodeId && view.nodes.get(task.nodeId)?.hostname) ?? task.nodeId ?? "";
    return [{ type: "stopTask", taskId: task.id, reason: `node ${name} was down when it ended` }];
  });
}

function trimHistory(view: View, slot: Slot): Action[] {
  const visible = slot.ended.filter((task) => task.desired !== "removed");
  const gone = slot.ended.filter((task) => task.desired === "removed");
  const past = [...visible.slice(HISTORY_PER_SLOT), ...gone];
  return past.flatMap((task) => letGo(view, task));
}

function removeSlot(view: View, slot: Slot): Action[] {
  return tasksIn(slot).flatMap((task) => letGo(view, task));
}

/**
 * The next step on a task's way out: ask its node to remove it, then forget it. A node that is down
 * is not asked: it removes what it is no longer told of when it is back.
 */
function letGo(view: View, task: Task): Action[] {
  if (task.state === "removed" || task.nodeId === undefined || isOutOfReach(view, task)) {
    return [{ type: "deleteTask", taskId: task.id }];
  }
  return task.desired === "removed" ? [] : [{ type: "removeTask", taskId: task.id }];
}

function planRemoval(view: View, service: Service, tasks: readonly Task[]): Plan {
  if (tasks.length === 0) {
    return { actions: [{ type: "deleteService", serviceId: service.id }] };
  }
  return { actions: sortedBy(tasks, (task) => task.id).flatMap((task) => letGo(view, task)) };
}

/** Whether every wanted slot holds a ready current task and nothing else is left to stop. */
export function isConverged(view: View, service: Service): boolean {
  if (service.removing) return false;
  const tasks = view.tasksOf(service.id);
  const slots = slotsOf(view, service);
  const wanted = slotsInReach(view, service);
  const { restart, mode } = specOf(service);
  // A global service that fits nowhere runs nowhere, and nobody asks for that.
  if (mode === "global" && wanted.length === 0) return false;
  const settled = wanted.every((name) => {
    const slot = slots.get(name) ?? emptySlot(service, name);
    if (slot.held !== undefined || slot.outdated.length > 0 || slot.stopping.length > 0) {
      return false;
    }
    const [only] = slot.current;
    if (only !== undefined) return slot.current.length === 1 && isServing(view, only);
    const latest = slot.ended[0];
    // A replacement that did its work did that of the task that is away.
    const away = slot.away.at(-1);
    if (away !== undefined && (latest?.attempt ?? 0) <= away.attempt) return false;
    if (latest === undefined || !isOfTemplate(service, latest.revision)) return false;
    return decideRestart(latest, restart).type === "done";
  });
  const kept = new Set(wantedSlots(view, service));
  return settled && tasks.every((task) => kept.has(task.slot) || isTerminal(task.state));
}

/** What the service's slots hold, in the order of their turns. */
export function slotsInOrder(view: View, service: Service): Slot[] {
  const slots = slotsOf(view, service);
  return wantedSlots(view, service).map((name) => slots.get(name) ?? emptySlot(service, name));
}

/** How many tasks the service wants at once now. */
export function wantedTasks(view: View, service: Service): number {
  return service.removing ? 0 : slotsInReach(view, service).length;
}

/** The wanted slots, but for those of a global service on nodes that are down. */
function slotsInReach(view: View, service: Service): string[] {
  const wanted = wantedSlots(view, service);
  if (specOf(service).mode !== "global") return wanted;
  return wanted.filter((slot) => homeOf(view, service, slot)?.health !== "down");
}
