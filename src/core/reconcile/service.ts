import { sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import type { ServiceId } from "../../model/ids.ts";
import { currentRevision, isJob, isOfTemplate, specOf, type Service } from "../../model/service.ts";
import { isServing } from "../../model/serving.ts";
import { isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { fillSlot, giveUpAbandoned, letGo, nextAttempt } from "./attempt.ts";
import { removeSlot, startStaged, stopSurplus, trimHistory, withRetired } from "./attempt.ts";
import { isNeeded, waitOf, withWaiting } from "./depends.ts";
import { homesOf, surplusOf } from "./disconnect.ts";
import { isOfSlot } from "./held.ts";
import { isJobConverged, planJob, wantedInRun } from "./job.ts";
import { reasonToLeave } from "./leave.ts";
import type { Action, Plan } from "./plan.ts";
import { decideRestart } from "./restart.ts";
import { holdBack, releasedIn, replacementsOf } from "./replace.ts";
import { stepRollout } from "./rollout.ts";
import { emptySlot, slotsOf, type Slot } from "./slot.ts";
import { slotsInReach, wantedSlots } from "./wanted.ts";

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

  const draw = random.split(`service/${id}/${view.version}`);
  if (isJob(specOf(known))) return planJob(view, known, now, draw);
  const look = { view, wanted: wantedSlots(view, known), now, stalledMs };
  const step = stepRollout(known, look);
  const { service } = step;
  const waitsFor = waitOf(view, service);
  const begin = { now, random: draw, waitsFor };
  const slots = slotsOf(view, service);
  const wanted = wantedSlots(view, service);
  const plan: Plan = { actions: [] };
  const wake = (at: number) => (plan.wakeAt = Math.min(plan.wakeAt ?? at, at));
  if (step.wakeAt !== undefined) wake(step.wakeAt);

  const filled = wanted.map((name) => slots.get(name) ?? emptySlot(service, name));
  for (const slot of filled) {
    plan.actions.push(...giveUpAbandoned(view, slot), ...trimHistory(view, slot));
    const surplus = surplusOf(view, service, slot, now);
    if (surplus !== undefined && surplus.at > now) wake(surplus.at);
    else if (surplus !== undefined) plan.actions.push(...stopSurplus(view, surplus));
    const released = waitsFor === undefined ? releasedIn(view, service, slot, now) : undefined;
    if (released !== undefined && released.at > now) wake(released.at);
    else if (released !== undefined) plan.actions.push(...startStaged(slot, released.task));
    const start = nextAttempt(view, service, slot, now);
    if (start === undefined) continue;
    const { at, readyFrom, failures } = start;
    const desired = at > now ? "prepared" : "running";
    if (readyFrom > now) wake(readyFrom);
    else plan.actions.push(...fillSlot(service, slot, { ...begin, failures, desired }));
  }
  const replacements = replacementsOf(view, service, filled, now);
  if (waitsFor !== undefined) holdBack(replacements, view, now);
  if (replacements.wakeAt !== undefined) wake(replacements.wakeAt);
  for (const task of replacements.stop) {
    plan.actions.push(stopOutdated(view, service, slots.get(task.slot), task));
  }
  for (const { slot, failures, desired } of replacements.start) {
    plan.actions.push(...fillSlot(service, slot, { ...begin, failures, desired }));
  }
  const kept = new Set(wanted);
  const homes = homesOf(view, service, slots.values(), kept);
  const isTied = homes !== undefined && homes !== service.homes;
  const next = isTied ? { ...service, homes } : service;
  if (next !== known) plan.actions.push({ type: "updateService", service: next });
  for (const slot of sortedBy(slots.values(), (s) => s.slot)) {
    if (!kept.has(slot.slot)) plan.actions.push(...removeSlot(view, slot));
  }
  return withWaiting(withRetired(plan, filled), view, service, waitsFor);
}

function stopOutdated(view: View, service: Service, slot: Slot | undefined, task: Task): Action {
  const { revision } = currentRevision(service);
  const why = reasonToLeave(view, service, task);
  const isOld = !isOfSlot(service, slot?.held, task);
  const reason = isOld || why === undefined ? `replaced by revision ${revision}` : why;
  return { type: "stopTask", taskId: task.id, reason };
}

function planRemoval(view: View, service: Service, tasks: readonly Task[]): Plan {
  if (isNeeded(view, service)) return { actions: [] };
  if (tasks.length === 0) {
    return { actions: [{ type: "deleteService", serviceId: service.id }] };
  }
  return { actions: sortedBy(tasks, (task) => task.id).flatMap((task) => letGo(view, task)) };
}

/** Whether every wanted slot holds a ready current task and nothing else is left to stop. */
export function isConverged(view: View, service: Service): boolean {
  if (service.removing) return false;
  if (isJob(specOf(service))) return isJobConverged(view, service);
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
  if (service.removing) return 0;
  if (isJob(specOf(service))) return wantedInRun(view, service);
  return slotsInReach(view, service).length;
}
