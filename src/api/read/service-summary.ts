import { waitOf } from "../../core/reconcile/depends.ts";
import { latestRun } from "../../core/reconcile/job.ts";
import { isConverged, wantedTasks } from "../../core/reconcile/service.ts";
import { sortedBy } from "../../lib/order.ts";
import { canMove, formatWait } from "../../model/home.ts";
import { ingressUrls } from "../../model/ingress-url.ts";
import { formatServiceName } from "../../model/names.ts";
import { currentRevision, isJob, isOfTemplate, specOf, type Service } from "../../model/service.ts";
import { isUnderWay } from "../../model/rollout.ts";
import { rolloutBriefSchema, type ServiceSummary } from "../../model/summary.ts";
import { downNodeOf, isServing } from "../../model/serving.ts";
import { isFailure, isLive, isTerminal, rankOf, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { jobSummary } from "./job-summary.ts";
import { compareAttempts } from "./target.ts";

/** Every service, or those of one stack, by name. */
export function serviceSummaries(view: View, stack?: string): ServiceSummary[] {
  const services = stack === undefined ? [...view.services.values()] : view.servicesOf(stack);
  const sorted = sortedBy(services, (s) => formatServiceName(s.stack, s.name));
  return sorted.map((service) => serviceSummary(view, service));
}

export function serviceSummary(view: View, service: Service): ServiceSummary {
  const tasks = view.tasksOf(service.id);
  const { revision, spec, at } = currentRevision(service);
  const isCurrent = (task: Task) => isOfTemplate(service, task.revision);
  const { rollout } = service;
  const urls = ingressUrls(spec.ingress, view.nodes.values());
  // What a rollout has just brought is still watched.
  const converged = isConverged(view, service) && !isUnderWay(rollout);
  const wanted = wantedTasks(view, service);
  const ready = tasks.filter((task) => isServing(view, task)).length;
  return {
    id: service.id,
    stack: service.stack,
    name: service.name,
    mode: spec.mode,
    image: spec.container.image,
    revision,
    wanted,
    running: tasks.filter((t) => isCurrent(t) && t.state === "running" && t.desired === "running")
      .length,
    ready,
    outdated: tasks.filter((t) => !isCurrent(t) && !isTerminal(t.state)).length,
    ports: spec.ports,
    ...(urls.length === 0 ? {} : { urls }),
    converged,
    message: converged ? "" : messageOf(view, service, isCurrent),
    failures: failuresOf(tasks, at),
    ...(rollout === undefined ? {} : { rollout: rolloutBriefSchema.parse(rollout) }),
    ...(isJob(spec) ? { job: jobSummary(view, service) } : {}),
    updatedAt: at,
  };
}

/** Why a rollout is held up says more than what its tasks say. */
function messageOf(view: View, service: Service, isCurrent: (task: Task) => boolean): string {
  const { rollout } = service;
  if (isUnderWay(rollout) && rollout.message !== "") return rollout.message;
  const run = isJob(specOf(service)) ? latestRun(service) : undefined;
  if (run?.result === "failed") return `run ${run.run} failed: ${run.message}`;
  return waitOf(view, service) ?? reasonOf(view, service, isCurrent);
}

/**
 * The message of the slot that stands worst, if it has one. While a slot is being replaced, the
 * latest attempt at its successor counts beside the task that still holds it.
 */
function reasonOf(view: View, service: Service, isCurrent: (task: Task) => boolean): string {
  const tasks = view.tasksOf(service.id);
  const attempts = [...latestAttempts(tasks), ...latestAttempts(tasks.filter(isCurrent))];
  const waiting = attempts.filter((task) => !isServing(view, task) && task.message !== "");
  const [worst] = waiting.toSorted((a, b) => badness(b) - badness(a) || compareAttempts(a, b));
  return worst?.message ?? awayReason(view, service, attempts);
}

/** What is said of tasks whose node is down, where nothing worse is to say. */
function awayReason(view: View, service: Service, tasks: readonly Task[]): string {
  for (const task of tasks) {
    const node = downNodeOf(view, task);
    if (node === undefined || !isLive(task)) continue;
    return canMove(service)
      ? `node ${node.hostname} is down`
      : formatWait(service, node, "is down");
  }
  return "";
}

/** Failures are worst, then ill health, then waiting: the further from running the worse. */
function badness(task: Task): number {
  if (isFailure(task.state)) return 100;
  if (task.health === "unhealthy") return 90;
  return isTerminal(task.state) ? 0 : 50 - rankOf(task.state);
}

/** Attempts that failed in a row in each slot, of those made since the newest revision. */
function failuresOf(tasks: readonly Task[], since: number): number {
  return latestAttempts(tasks.filter((task) => task.createdAt >= since)).reduce(
    (sum, task) => sum + task.failures + (isFailure(task.state) ? 1 : 0),
    0,
  );
}

/** For each slot the task that holds it, or else its latest attempt. */
export function latestAttempts(tasks: readonly Task[]): Task[] {
  const bySlot = Map.groupBy(tasks, (task) => `${task.serviceId}/${task.slot}`);
  return [...bySlot.values()].flatMap((attempts) => attempts.toSorted(compareAttempts).slice(0, 1));
}
