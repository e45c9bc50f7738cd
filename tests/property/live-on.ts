import { changesOf } from "../../src/core/reconcile/plan.ts";
import { planService } from "../../src/core/reconcile/service.ts";
import { schedule } from "../../src/core/scheduler/schedule.ts";
import type { Random } from "../../src/lib/random.ts";
import { put } from "../../src/model/change.ts";
import { isJob, specOf } from "../../src/model/service.ts";
import { isOutOfReach } from "../../src/model/serving.ts";
import { isLive, isTerminal, rankOf, type Task, type TaskState } from "../../src/model/task.ts";
import type { MemoryView } from "../../src/model/view.ts";
import { lintPlan } from "../plan-linter.ts";

/**
 * One round of a cluster in which everything works: each service is planned, each pending task is
 * placed, each agent brings its tasks to where they should be. Answers what is wrong with a plan.
 */
export function liveOn(view: MemoryView, now: number, random: Random): string | undefined {
  for (const service of [...view.services.values()]) {
    const plan = planService(view, service.id, now, random);
    const [problem] = lintPlan(view, service, plan, now);
    if (problem !== undefined) return `${service.name} ${problem}`;
    view.apply(changesOf(view, plan.actions, now), view.version + 1);
  }
  const pending = [...view.tasks.values()].filter((t) => t.state === "pending" && isLive(t));
  for (const { taskId, ...place } of schedule(view, pending, random).placements) {
    const task = view.tasks.get(taskId);
    if (task !== undefined) write(view, { ...task, ...place, state: "assigned" });
  }
  for (const task of [...view.tasks.values()]) act(view, task, now);
  return undefined;
}

/** What an agent makes of a task at once. */
function act(view: MemoryView, task: Task, now: number): void {
  if (task.nodeId === undefined || isOutOfReach(view, task)) return;
  const reach = (state: TaskState) =>
    write(view, { ...task, state, since: now, ...(isTerminal(state) ? { finishedAt: now } : {}) });
  if (task.desired === "removed") return reach("removed");
  if (isTerminal(task.state)) return;
  if (task.desired === "shutdown") return reach("shutdown");
  if (task.desired === "prepared") {
    if (rankOf(task.state) < rankOf("prepared")) reach("prepared");
    return undefined;
  }
  const isUp = task.state === "running" && ["none", "healthy"].includes(task.health);
  const service = view.services.get(task.serviceId);
  if (isUp && service !== undefined && isJob(specOf(service))) return reach("complete");
  if (isUp || rankOf(task.state) > rankOf("running")) return;
  write(view, { ...task, state: "running", health: "none", since: now, startedAt: now });
}

function write(view: MemoryView, task: Task): void {
  view.apply([put.task(task)], view.version + 1);
}
