import type { Applied } from "../../src/model/change.ts";
import type { ServiceId } from "../../src/model/ids.ts";
import { isGlobal, isJob, specOf, type Service } from "../../src/model/service.ts";
import { isServing } from "../../src/model/serving.ts";
import { runOfSlot } from "../../src/model/slot-name.ts";
import type { Task } from "../../src/model/task.ts";
import type { View } from "../../src/model/view.ts";
import type { Violation } from "./violation.ts";

type Problem = Violation | undefined;

/** What must hold of jobs, schedules and services that wait, at each write. */
export class JobChecks {
  /** Times of each service's schedule that had a run, as long as the clock goes forward. */
  readonly #times = new Map<string, Set<number>>();

  /** @param whole the commit of which the write is a part */
  check({ kind, before, after }: Applied, view: View, whole: readonly Applied[]): Problem {
    if (kind === "task" && after !== undefined) {
      const service = serviceIn(whole, after.serviceId) ?? view.services.get(after.serviceId);
      if (service === undefined) return undefined;
      return checkDone(before, after, service, view) ?? checkWait(before, after, service, view);
    }
    if (kind !== "service" || after === undefined) return undefined;
    return checkComplete(before, after, view) ?? this.#checkTimes(before, after);
  }

  /** A time that was dealt with had one run, or was skipped for a reason. */
  #checkTimes(before: Service | undefined, after: Service): Problem {
    const [was, is] = [before?.runs, after.runs];
    if (is?.handled === undefined || was?.handled?.schedule !== is.handled.schedule) {
      return undefined;
    }
    if (is.handled.until < was.handled.until) return broken("S16", after, "goes back in time");
    const begun = is.list.filter(({ run }) => run > was.count);
    const times = this.#times.get(after.id) ?? new Set();
    this.#times.set(after.id, times);
    for (const { run, scheduledAt } of begun) {
      if (scheduledAt === undefined) continue;
      if (times.has(scheduledAt)) return broken("S16", after, `has run ${run} a second time`);
      times.add(scheduledAt);
    }
    const isMoved = is.handled.until > was.handled.until;
    const hadReason = is.skipped > was.skipped || begun.some((run) => run.scheduledAt);
    return isMoved && !hadReason ? broken("S16", after, "leaves a time out") : undefined;
  }
}

/** The service as the same commit leaves it. */
function serviceIn(whole: readonly Applied[], id: ServiceId): Service | undefined {
  for (const { kind, after } of whole) {
    if (kind === "service" && after?.id === id) return after;
  }
  return undefined;
}

/** No task comes to a slot of a job that has done its work. */
function checkDone(before: Task | undefined, after: Task, service: Service, view: View): Problem {
  if (before !== undefined || !isJob(specOf(service)) || after.state === "assigned") {
    return undefined;
  }
  const isOfRun = (task: Task) =>
    runOfSlot(task.slot) !== undefined || task.revision >= service.templateRevision;
  const done = view
    .tasksOf(service.id)
    .find((task) => task.slot === after.slot && task.state === "complete" && isOfRun(task));
  if (done === undefined) return undefined;
  return broken("jobs", service, `has task ${after.id} after ${done.id} did slot ${after.slot}`);
}

/** What a run says when it is complete is true of its tasks. */
function checkComplete(before: Service | undefined, after: Service, view: View): Problem {
  if (!isJob(specOf(after))) return undefined;
  const isScheduled = specOf(after).schedule !== undefined;
  for (const { run, revision, result, wanted = 0 } of after.runs?.list ?? []) {
    const was = before?.runs?.list.find((one) => one.run === run);
    if (result !== "complete" || was?.result === "complete") continue;
    const done = view.tasksOf(after.id).filter((task) => {
      const isOfRun = isScheduled ? runOfSlot(task.slot) === run : task.revision >= revision;
      return isOfRun && task.state === "complete";
    });
    const slots = new Set(done.map((task) => task.slot));
    if (slots.size < wanted) {
      return broken("jobs", after, `calls run ${run} complete with ${slots.size} of ${wanted}`);
    }
  }
  return undefined;
}

/** A first task that is let go has what it needs. */
function checkWait(before: Task | undefined, after: Task, service: Service, view: View): Problem {
  const isLetGo = after.state === "pending" && (before === undefined || before.state === "new");
  if (!isLetGo) return undefined;
  const tasks = view.tasksOf(service.id);
  if (tasks.some((task) => task.startedAt !== undefined)) return undefined;
  for (const { service: name, condition, required } of specOf(service).dependsOn ?? []) {
    const target = view.serviceNamed(service.stack, name);
    if (!required || target === undefined || target.removing) continue;
    if (isThere(view, target, condition)) continue;
    return broken("waits", service, `starts ${after.id} before ${name} is ${condition}`);
  }
  return undefined;
}

function isThere(view: View, target: Service, condition: string): boolean {
  const spec = specOf(target);
  if (!isGlobal(spec) && spec.replicas === 0) return true;
  const tasks = view.tasksOf(target.id);
  if (tasks.some((task) => task.state === "complete")) return true;
  if (condition === "completed") return false;
  if (condition === "started") return tasks.some((task) => task.startedAt !== undefined);
  return tasks.some((task) => isServing(view, task));
}

function broken(invariant: "jobs" | "S16" | "waits", service: Service, what: string): Violation {
  return { invariant, message: `service ${service.stack}/${service.name} ${what}` };
}
