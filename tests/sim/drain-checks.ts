import type { Applied } from "../../src/model/change.ts";
import { canMove } from "../../src/model/home.ts";
import { isGlobal, isJob, policyInForce, specOf, type Service } from "../../src/model/service.ts";
import { isServing } from "../../src/model/serving.ts";
import { isLive, type Task } from "../../src/model/task.ts";
import type { View } from "../../src/model/view.ts";
import { isCovered, isOverdue, viewAfter, wantedSlots } from "./rollout-checks.ts";
import type { Violation } from "./violation.ts";

/**
 * A drained node is left as its services ask: a task that serves goes before another one serves
 * only where the order allows that, and of no more slots than may be without one.
 * @param now by the clock of the server's machine
 */
export function checkLeaving(
  applied: readonly Applied[],
  before: View,
  now: number,
): Violation | undefined {
  const leaving = applied
    .flatMap((one) => leavingBy(one, before))
    .filter((task) => !isOverdue(task, before, now));
  for (const [id, tasks] of Map.groupBy(leaving, (task) => task.serviceId)) {
    const view = viewAfter(id, applied, before);
    const service = view.services.get(id);
    if (service === undefined || isGlobal(specOf(service)) || isJob(specOf(service))) continue;
    const message = wrongIn(view, service, tasks);
    if (message !== undefined) return { invariant: "leaving", message };
  }
  return undefined;
}

function leavingBy({ kind, before, after }: Applied, view: View): Task[] {
  if (kind !== "task" || before === undefined || after === undefined) return [];
  const isTold = isLive(before) && !isLive(after);
  return isTold && /^node \S+ is drained$/.test(after.message) && isServing(view, before)
    ? [after]
    : [];
}

function wrongIn(view: View, service: Service, tasks: readonly Task[]): string | undefined {
  const alone = tasks.find((task) => !isCovered(view, service, task));
  if (alone === undefined) return undefined;
  const { drain } = specOf(service);
  const order = drain?.order ?? policyInForce(service).order;
  if (order === "start-first" && canMove(service)) {
    return `task ${alone.id} leaves its node before another one serves in its slot`;
  }
  const most = drain?.parallelism ?? 0;
  const empty = wantedSlots(view, service).filter((slot) => isEmpty(view, service, slot));
  if (most === 0 || empty.length <= most) return undefined;
  return `${service.name} has nobody in slots ${empty.join(", ")}, beyond ${most} at once`;
}

/** Whether nobody serves in a slot in which somebody should. */
function isEmpty(view: View, service: Service, slot: string): boolean {
  const tasks = view.tasksOf(service.id).filter((task) => task.slot === slot);
  const isDone = specOf(service).restart.condition !== "any";
  return !tasks.some((task) => {
    return isServing(view, task) || (isDone && task.state === "complete");
  });
}
