import { sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import type { ServiceId } from "../../model/ids.ts";
import { currentRevision, isJob, specOf, type Service } from "../../model/service.ts";
import { isServing } from "../../model/serving.ts";
import { isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { fillSlot, giveUpAbandoned, letGo, nextAttempt } from "./attempt.ts";
import { removeSlot, stopSurplus, trimHistory } from "./attempt.ts";
import { isNeeded, waitOf, withWaiting } from "./depends.ts";
import { homesOf, surplusOf } from "./disconnect.ts";
import { isJobConverged, planJob, wantedInRun } from "./job.ts";
import { reasonToLeave } from "./leave.ts";
import type { Action, Plan } from "./plan.ts";
import { decideRestart } from "./restart.ts";
import { holdBack, replacementsOf } from "./replace.ts";
import { emptySlot, slotsOf } from "./slot.ts";
import { slotsInReach, wantedSlots } from "./wanted.ts";

/**
 * What to do so that the service comes nearer to what it should be. Level-triggered: it looks at
 * what is there, never at what happened. An empty plan means that nothing is to do before `wakeAt`.
 * @param now milliseconds since 1970
 */
export function planService(view: View, id: ServiceId, now: number, random: Random): Plan {
  const service = view.services.get(id);
  if (service === undefined) return { actions: [] };
  const tasks = view.tasksOf(id);
  if (service.removing) return planRemoval(view, service, tasks);

  const draw = random.split(`service/${id}/${view.version}`);
  if (isJob(specOf(service))) return planJob(view, service, now, draw);
  const waitsFor = waitOf(view, service);
  const begin = { now, random: draw, waitsFor };
  const slots = slotsOf(view, service);
  const wanted = wantedSlots(view, service);
  const plan: Plan = { actions: [] };
  const wake = (at: number) => (plan.wakeAt = Math.min(plan.wakeAt ?? at, at));

  const filled = wanted.map((name) => slots.get(name) ?? emptySlot(name));
  for (const slot of filled) {
    plan.actions.push(...giveUpAbandoned(view, slot), ...trimHistory(view, slot));
    const surplus = surplusOf(view, service, slot, now);
    if (surplus !== undefined && surplus.at > now) wake(surplus.at);
    else if (surplus !== undefined) plan.actions.push(...stopSurplus(view, surplus));
    const start = nextAttempt(view, service, slot, now);
    if (start === undefined) continue;
    if (start.at > now) wake(start.at);
    else plan.actions.push(...fillSlot(service, slot, { ...begin, failures: start.failures }));
  }
  const replacements = replacementsOf(view, service, filled, now);
  if (waitsFor !== undefined) holdBack(replacements, view);
  if (replacements.wakeAt !== undefined) wake(replacements.wakeAt);
  for (const task of replacements.stop) plan.actions.push(stopOutdated(view, service, task));
  for (const { slot, failures } of replacements.start) {
    plan.actions.push(...fillSlot(service, slot, { ...begin, failures }));
  }
  const homes = homesOf(service, slots.values());
  if (homes !== undefined && homes !== service.homes) {
    plan.actions.push({ type: "setHomes", serviceId: id, homes });
  }
  const kept = new Set(wanted);
  for (const slot of sortedBy(slots.values(), (s) => s.slot)) {
    if (!kept.has(slot.slot)) plan.actions.push(...removeSlot(view, slot));
  }
  return withWaiting(plan, view, service, waitsFor);
}

function stopOutdated(view: View, service: Service, task: Task): Action {
  const { revision } = currentRevision(service);
  const why = reasonToLeave(view, service, task);
  const isOld = task.revision < service.templateRevision;
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
    const slot = slots.get(name) ?? emptySlot(name);
    if (slot.outdated.length > 0 || slot.stopping.length > 0) return false;
    const [only] = slot.current;
    if (only !== undefined) return slot.current.length === 1 && isServing(view, only);
    const latest = slot.ended[0];
    // A replacement that did its work did that of the task that is away.
    const away = slot.away.at(-1);
    if (away !== undefined && (latest?.attempt ?? 0) <= away.attempt) return false;
    if (latest === undefined || latest.revision < service.templateRevision) return false;
    return decideRestart(latest, restart).type === "done";
  });
  const kept = new Set(wantedSlots(view, service));
  return settled && tasks.every((task) => kept.has(task.slot) || isTerminal(task.state));
}

/** How many tasks the service wants at once now. */
export function wantedTasks(view: View, service: Service): number {
  if (service.removing) return 0;
  if (isJob(specOf(service))) return wantedInRun(view, service);
  return slotsInReach(view, service).length;
}
