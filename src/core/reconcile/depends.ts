import type { Dependency } from "../../model/dependency.ts";
import { isGlobal, isJob, restartOf, sameTemplate, specOf } from "../../model/service.ts";
import type { Service } from "../../model/service.ts";
import { isServing } from "../../model/serving.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { waitsForNode } from "./disconnect.ts";
import type { Plan } from "./plan.ts";
import { decideRestart } from "./restart.ts";
import { isCurrent } from "./held.ts";
import { emptySlot, slotsOf, tasksIn, type Slot } from "./slot.ts";
import { slotsInReach } from "./wanted.ts";

/** Where a dependency stands. */
type Standing = "holds" | "waits" | { failed: string };

const CONDITIONS: Record<Dependency["condition"], string> = {
  started: "to be started",
  healthy: "to be healthy",
  completed: "to complete",
};

/**
 * What the tasks of a service wait for before the first of them is started, in one sentence;
 * undefined where they wait for nothing. Once one of the service as it is now has been started, the
 * others and all that follow it wait no more: what fails later is not made worse by waiting.
 */
export function waitOf(view: View, service: Service): string | undefined {
  const { dependsOn } = specOf(service);
  if (dependsOn === undefined || dependsOn.length === 0 || hasBegun(view, service)) {
    return undefined;
  }
  for (const dependency of dependsOn) {
    const wait = waitFor(view, service, dependency);
    if (wait !== undefined) return wait;
  }
  return undefined;
}

/** The plan, with tasks that wait let go on, or made to say what for, where it leaves them be. */
export function withWaiting(
  plan: Plan,
  view: View,
  service: Service,
  waitsFor: string | undefined,
): Plan {
  const taken = new Set(plan.actions.flatMap((one) => ("taskId" in one ? [one.taskId] : [])));
  for (const { id, state, desired, message } of view.tasksOf(service.id)) {
    if (state !== "new" || desired !== "running" || taken.has(id)) continue;
    if (waitsFor === undefined) plan.actions.push({ type: "releaseTask", taskId: id });
    else if (message !== waitsFor) {
      plan.actions.push({ type: "holdTask", taskId: id, message: waitsFor });
    }
  }
  return plan;
}

/** Whether a service that is being removed has to go on for others that are removed before it. */
export function isNeeded(view: View, service: Service): boolean {
  return view.servicesOf(service.stack).some((other) => {
    if (!other.removing || other.id === service.id) return false;
    return specOf(other).dependsOn?.some((one) => one.service === service.name) === true;
  });
}

function hasBegun(view: View, service: Service): boolean {
  const first = firstRevision(service);
  return view
    .tasksOf(service.id)
    .some((task) => task.revision >= first && task.startedAt !== undefined);
}

/**
 * The oldest revision that counts as the service as it is now. `orchd restart` makes no other one
 * of it, unless the service is restarted because of what it depends on.
 */
function firstRevision(service: Service): number {
  const spec = specOf(service);
  if (spec.dependsOn?.some((one) => one.restart) === true) return service.templateRevision;
  let first = service.templateRevision;
  for (const { revision, spec: older } of service.revisions) {
    if (!sameTemplate({ ...older, restarts: spec.restarts }, spec)) break;
    first = Math.min(first, revision);
  }
  return first;
}

function waitFor(view: View, service: Service, dependency: Dependency): string | undefined {
  const { condition, required } = dependency;
  const target = view.serviceNamed(service.stack, dependency.service);
  // `up` refuses what is missing. What was removed since, as before an undo, is never to come.
  if (target === undefined || target.removing) return undefined;
  const standing = isJob(specOf(target))
    ? standingOfJob(view, target, condition)
    : standingOf(view, target, condition);
  if (standing === "holds") return undefined;
  const wait = `waits for ${dependency.service} ${CONDITIONS[condition]}`;
  if (standing === "waits") return wait;
  return required ? `${wait}, which it can't any more: ${standing.failed}` : undefined;
}

function standingOfJob(view: View, target: Service, condition: Dependency["condition"]): Standing {
  const isScheduled = specOf(target).schedule !== undefined;
  const runs = (target.runs?.list ?? []).filter(
    (run) => isScheduled || run.revision >= target.templateRevision,
  );
  if (runs.some(({ result }) => result === "complete")) return "holds";
  const tasks = view.tasksOf(target.id).filter((task) => isCurrent(target, task));
  const hasStarted = tasks.some((task) => task.startedAt !== undefined);
  if (condition === "started" && hasStarted) return "holds";
  if (condition === "healthy" && tasks.some((task) => isServing(view, task))) return "holds";
  const [latest] = runs;
  return latest?.result === "failed" && !isScheduled ? { failed: latest.message } : "waits";
}

/** Of a service whose tasks go on: each slot counts but for those that wait for a node. */
function standingOf(view: View, target: Service, condition: Dependency["condition"]): Standing {
  const spec = specOf(target);
  // What was scaled to nothing on purpose is not waited for, as in Compose.
  if (!isGlobal(spec) && spec.replicas === 0) return "holds";
  const slots = slotsOf(view, target);
  const wanted = slotsInReach(view, target)
    .map((name) => slots.get(name) ?? emptySlot(target, name))
    .filter((slot) => !waitsForNode(view, target, slot));
  const verdicts = wanted.map((slot) => standingOfSlot(view, target, slot, condition));
  if (verdicts.length === 0) return "waits";
  const failed = verdicts.find((one) => typeof one === "object");
  if (failed !== undefined) return failed;
  return verdicts.every((one) => one === "holds") ? "holds" : "waits";
}

function standingOfSlot(
  view: View,
  target: Service,
  slot: Slot,
  condition: Dependency["condition"],
): Standing {
  const tasks = tasksIn(slot).filter((task) => isCurrent(target, task));
  if (tasks.some((task) => isMet(view, task, condition))) return "holds";
  const [latest] = slot.ended;
  const isEmpty = tasks.every((task) => slot.ended.includes(task));
  if (latest === undefined || !isEmpty || !isCurrent(target, latest)) return "waits";
  const decision = decideRestart(latest, restartOf(specOf(target)));
  if (decision.type === "retry") return "waits";
  const why = decision.type === "done" ? "it has ended" : decision.reason;
  return { failed: `${why}${latest.message === "" ? "" : `: ${latest.message}`}` };
}

function isMet(view: View, task: Task, condition: Dependency["condition"]): boolean {
  switch (condition) {
    case "started":
      return task.startedAt !== undefined;
    case "healthy":
      return isServing(view, task);
    case "completed":
      return task.state === "complete";
  }
}
