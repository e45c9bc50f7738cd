import type { Applied } from "../../src/model/change.ts";
import type { ServiceId } from "../../src/model/ids.ts";
import { unmetConstraint } from "../../src/model/constraint.ts";
import { acceptsTasks } from "../../src/model/node.ts";
import { canMove, homeOf } from "../../src/model/home.ts";
import { isUnderWay, type Rollout } from "../../src/model/rollout.ts";
import { currentRevision, policyInForce, replicasOf, specOf } from "../../src/model/service.ts";
import type { Service } from "../../src/model/service.ts";
import { isServing } from "../../src/model/serving.ts";
import { isLive, isTerminal, type Task } from "../../src/model/task.ts";
import { MemoryView, type View } from "../../src/model/view.ts";
import { isOpen } from "../../src/model/window.ts";
import { put } from "../../src/model/change.ts";
import type { Violation } from "./violation.ts";

type Problem = Violation | undefined;

/** What a rollout may do, told from what is written alone. */
export class RolloutChecks {
  /** Revisions that were undone after failures, by service. */
  readonly #undone = new Map<ServiceId, Set<number>>();

  /** @param now by the clock of the server's machine */
  check(applied: readonly Applied[], before: View, now: number): Problem {
    for (const one of applied) {
      const problem = checkBeginning(one, applied, before);
      if (problem !== undefined) return problem;
      if (one.kind !== "service" || one.before === undefined || one.after === undefined) continue;
      const undone = this.#checkUndo(one.before, one.after) ?? checkLock(one.after);
      if (undone !== undefined) return undone;
    }
    const taken = applied
      .flatMap((one) => takenBy(one, before))
      .filter((task) => !isOverdue(task, before, now));
    for (const [id, tasks] of Map.groupBy(taken, (task) => task.serviceId)) {
      const problem = checkTaking(id, tasks, applied, before);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** A failed rollout goes back once, to the very spec that was there before it. */
  #checkUndo(before: Service, after: Service): Problem {
    const [was, is] = [before.rollout, after.rollout];
    const isNew = is?.to === currentRevision(after).revision && is.to !== was?.to;
    if (!isNew || is.back !== "failure") return undefined;
    const name = `service ${after.stack}/${after.name}`;
    const undone = this.#undone.get(after.id) ?? new Set();
    this.#undone.set(after.id, undone);
    if (was === undefined || was.back !== undefined) return broken(`${name} goes back twice`);
    if (undone.has(was.to)) return broken(`${name} undoes revision ${was.to} again`);
    undone.add(was.to);
    const target = before.revisions.find(({ revision }) => revision === was.from);
    const [wanted, got] = [target?.spec, specOf(after)].map((spec) => JSON.stringify(spec));
    if (wanted === got) return undefined;
    return broken(`${name} does not go back to what revision ${was.from} was`);
  }
}

/** What a file locks stands still until a person or another file lets it go. */
function checkLock({ stack, name, rollout }: Service): Problem {
  if (rollout?.locked !== true || rollout.state === "paused" || !isUnderWay(rollout)) {
    return undefined;
  }
  return broken(`service ${stack}/${name} is ${rollout.state}, and its rollout is locked`);
}

/** The first new task of a slot: it was thought of while a window was open. */
function checkBeginning(one: Applied, applied: readonly Applied[], before: View): Problem {
  if (one.kind !== "task" || one.before !== undefined || one.after === undefined) return undefined;
  const task = one.after;
  const written = applied.findLast(({ kind, after }) => {
    return kind === "service" && after?.id === task.serviceId;
  });
  const known = written?.kind === "service" ? written.after : undefined;
  const service = known ?? before.services.get(task.serviceId);
  const windows = service === undefined ? undefined : specOf(service).rollout?.windows;
  if (service === undefined || windows === undefined) return undefined;
  const { rollout } = service;
  const isBound = isUnderWay(rollout) && rollout.back === undefined && task.revision >= rollout.to;
  if (!isBound || hasBegun(before, rollout, task)) return undefined;
  if (windows.some((window) => isOpen(window, task.createdAt))) return undefined;
  return broken(`slot ${task.slot} of ${service.name} begins outside of its rollout's windows`);
}

/** A task that served and is told to end because a newer revision takes its slot. */
function takenBy({ kind, before, after }: Applied, view: View): Task[] {
  if (kind !== "task" || before === undefined || after === undefined) return [];
  const isTold = isLive(before) && !isLive(after);
  if (!isTold || !after.message.startsWith("replaced by revision")) return [];
  return isServing(view, before) ? [after] : [];
}

/** Whether the deadline of its drained node has passed: then it goes, replaced or not. */
export function isOverdue({ nodeId }: Task, view: View, now: number): boolean {
  const node = nodeId === undefined ? undefined : view.nodes.get(nodeId);
  return node?.availability === "drain" && node.drainBy !== undefined && node.drainBy <= now;
}

function checkTaking(
  id: ServiceId,
  taken: readonly Task[],
  applied: readonly Applied[],
  before: View,
): Problem {
  const view = viewAfter(id, applied, before);
  const service = view.services.get(id);
  if (service === undefined) return undefined;
  const uncovered = taken.filter((task) => {
    return !isCovered(view, service, task) && !isUnfit(view, service, task);
  });
  const held = uncovered.find((task) => {
    return isHeldUp(view, service, task) && !mustLeave(view, service, task);
  });
  if (held !== undefined) return broken(`task ${held.id} is replaced against its rollout`);
  if (uncovered.length === 0) return undefined;
  const missed = missedFailure(view, service);
  if (missed !== undefined) return broken(`slot ${missed} failed, and nobody counts it`);
  const { parallelism, order } = policyInForce(service);
  if (order === "start-first") {
    return broken(`slot ${uncovered[0]?.slot} is left alone before its new task is ready`);
  }
  const idle = idleSlots(view, service);
  if (parallelism === 0 || idle.length <= parallelism) return undefined;
  const slots = idle.join(", ");
  return broken(`${service.name} has nobody in slots ${slots}, beyond ${parallelism} at once`);
}

/** The service, its tasks and all nodes as they are with the commit. */
export function viewAfter(id: ServiceId, applied: readonly Applied[], before: View): MemoryView {
  const view = new MemoryView();
  const gone = new Set(
    applied.flatMap((one) =>
      one.kind === "task" && one.after === undefined ? one.before?.id : [],
    ),
  );
  const tasks = before.tasksOf(id).filter((task) => !gone.has(task.id));
  const service = before.services.get(id);
  const known = [
    ...[...before.nodes.values()].map(put.node),
    ...(service === undefined ? [] : [put.service(service)]),
    ...tasks.map(put.task),
  ];
  view.apply(known, 1);
  const changes = applied.flatMap((one) => {
    if (one.after === undefined) return [];
    if (one.kind === "service" && one.after.id === id) return [put.service(one.after)];
    return one.kind === "task" && one.after.serviceId === id ? [put.task(one.after)] : [];
  });
  view.apply(changes, 2);
  return view;
}

/** Whether another task serves in the slot, or did its work there. */
export function isCovered(view: View, service: Service, task: Task): boolean {
  return view.tasksOf(service.id).some((other) => {
    if (other.slot !== task.slot || other.id === task.id) return false;
    if (isServing(view, other)) return true;
    return other.state === "complete" && other.attempt > task.attempt;
  });
}

/** Whether the task may stay on its node no longer, which alone can hold it: it goes at once. */
function isUnfit(view: View, service: Service, task: Task): boolean {
  return !canMove(service) && mustLeave(view, service, task);
}

function mustLeave(view: View, service: Service, task: Task): boolean {
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  if (node === undefined) return false;
  const { constraints } = specOf(service).placement;
  return node.availability === "drain" || unmetConstraint(node, constraints) !== undefined;
}

/** Whether the task serves on for now: while its rollout is stopped no slot is left alone. */
function isHeldUp(view: View, service: Service, task: Task): boolean {
  const state = service.rollout?.state ?? "";
  return ["paused", "waiting-for-window"].includes(state) || isHeld(view, service, task.slot);
}

/** Whether the rollout, as it is written, lets the slot not begin. */
function isHeld(view: View, service: Service, slot: string): boolean {
  const { rollout, id } = service;
  if (rollout === undefined || hasBegun(view, rollout, { serviceId: id, slot })) return false;
  if (rollout.state === "paused" || rollout.state === "waiting-for-window") return true;
  const { canaries } = rollout;
  return rollout.state === "canary" && canaries !== undefined && !canaries.includes(slot);
}

function hasBegun(
  view: View,
  { to }: Rollout,
  { serviceId, slot }: Pick<Task, "serviceId" | "slot">,
): boolean {
  return view.tasksOf(serviceId).some((task) => task.slot === slot && task.revision >= to);
}

/** A slot whose first new task failed early and is not among those that the rollout counts. */
function missedFailure(view: View, service: Service): string | undefined {
  const { rollout } = service;
  // What fails while it is paused is counted when it goes on.
  if (!isUnderWay(rollout) || rollout.state === "paused") return undefined;
  const known = new Set([...rollout.failed, ...rollout.forgiven]);
  const wanted = replicasOf(service);
  const failed = view.tasksOf(service.id).find((task) => {
    const isFirst = task.revision >= rollout.to && task.failures === 0 && !known.has(task.slot);
    const isWanted = specOf(service).mode === "global" || Number(task.slot) <= wanted;
    const neverReady = task.readyAt === undefined;
    return isFirst && isWanted && neverReady && ["failed", "rejected"].includes(task.state);
  });
  return failed?.slot;
}

/** Slots in which nobody serves, and for which somebody should soon. */
function idleSlots(view: View, service: Service): string[] {
  const passed = new Set(service.rollout?.failed);
  return wantedSlots(view, service).filter((slot) => {
    const tasks = view.tasksOf(service.id).filter((task) => task.slot === slot);
    if (
      passed.has(slot) ||
      isHeld(view, service, slot) ||
      tasks.some((task) => isServing(view, task))
    )
      return false;
    return !waits(view, service, slot, tasks);
  });
}

export function wantedSlots(view: View, service: Service): string[] {
  if (specOf(service).mode === "replicated") {
    return Array.from({ length: replicasOf(service) }, (_, i) => String(i + 1));
  }
  const kept = view.tasksOf(service.id).filter((task) => task.desired !== "removed");
  return [...new Set(kept.map((task) => task.slot))];
}

/** Whether a slot waits for a node or for room, or has done its work: no rollout holds it up. */
function waits(view: View, service: Service, slot: string, tasks: readonly Task[]): boolean {
  const home = homeOf(view, service, slot);
  if (!canMove(service) && home !== undefined && !acceptsTasks(home)) return true;
  if (!canMove(service) && tasks.some((task) => isLive(task) && isAway(view, task))) return true;
  const latest = tasks.toSorted((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt)[0];
  if (latest === undefined) return false;
  if (latest.state === "pending" && latest.failures === 0) return true;
  const { condition } = specOf(service).restart;
  const ends = latest.state === "complete" && condition !== "any";
  return ends && isTerminal(latest.state);
}

function isAway(view: View, task: Task): boolean {
  return task.nodeId !== undefined && view.nodes.get(task.nodeId)?.health === "down";
}

function broken(message: string): Violation {
  return { invariant: "S13", message };
}
