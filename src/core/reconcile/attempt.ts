import { newId } from "../../lib/ids.ts";
import type { Random } from "../../lib/random.ts";
import { isJob, restartOf, specOf, type Service } from "../../model/service.ts";
import { isOutOfReach } from "../../model/serving.ts";
import type { TaskId } from "../../model/ids.ts";
import { isLive, isStaged, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { replaceAt, replacedAway, type Surplus } from "./disconnect.ts";
import type { Action, Plan } from "./plan.ts";
import { decideRestart, dueAt } from "./restart.ts";
import { isOfSlot, revisionFor } from "./held.ts";
import { tasksIn, type Slot } from "./slot.ts";

/** Ended attempts that a slot keeps, with their containers, so that people can read their logs. */
export const HISTORY_PER_SLOT = 2;

/** For so long before it may start, what takes the place of a task that is away is made ready. */
const READY_AHEAD_MS = 3000;

/**
 * When a slot in which nobody is left is to be filled, from when on that may be made ready, and
 * after how many failures in a row; undefined when somebody is there, or it waits for a task to end
 * or for a node, or has ended for good.
 */
export function nextAttempt(
  view: View,
  service: Service,
  slot: Slot,
  now: number,
): { at: number; readyFrom: number; failures: number } | undefined {
  if (slot.current.length > 0 || slot.outdated.length > 0 || slot.stopping.length > 0) {
    return undefined;
  }
  const replace = slot.away.length === 0 ? 0 : replaceAt(view, service, slot, now);
  if (replace === undefined) return undefined;
  const latest = slot.ended[0];
  const others = [...slot.away, ...slot.abandoned].map(({ attempt }) => attempt);
  const isNews = latest !== undefined && latest.attempt > Math.max(0, ...others);
  if (!isNews || !isOfSlot(service, slot.held, latest)) {
    return { at: replace, readyFrom: replace - READY_AHEAD_MS, failures: 0 };
  }
  const decision = decideRestart(latest, restartOf(specOf(service)));
  if (decision.type !== "retry") return undefined;
  const at = Math.max(replace, dueAt(decision, now));
  return { at, readyFrom: at, failures: decision.failures };
}

/** How the next task of a slot begins. */
export interface Begin {
  /** Failed attempts at the slot in a row before it. */
  failures: number;
  /** Milliseconds since 1970. */
  now: number;
  random: Random;
  /** What it waits for before it is placed, in one sentence; undefined where for nothing. */
  waitsFor: string | undefined;
  /** Of one that is only to be made ready, another one has the slot still. */
  desired: "prepared" | "running";
}

/** A new task for the slot. */
export function fillSlot(service: Service, slot: Slot, begin: Begin): Action[] {
  const isReplaced = begin.desired === "prepared" ? isStaged : isLive;
  return [...stopReplaced(slot, isReplaced), createTask(service, slot, begin)];
}

/** Lets the slot's staged task start. */
export function startStaged(slot: Slot, { id }: Task): Action[] {
  return [...stopReplaced(slot, isLive), { type: "startTask", taskId: id }];
}

/**
 * Beside a task that starts, at most one may come back from a node that is down; beside one that is
 * made ready, only what has run.
 */
function stopReplaced(slot: Slot, isReplaced: (task: Task) => boolean): Action[] {
  const reason = "another task took its place";
  const replaced = replacedAway(slot).filter(isReplaced);
  return replaced.map(({ id }) => ({ type: "stopTask", taskId: id, reason }));
}

function createTask(service: Service, slot: Slot, begin: Begin): Action {
  const { failures, now, random, waitsFor, desired } = begin;
  const task: Task = {
    id: newId<"task">(random.split(slot.slot)),
    serviceId: service.id,
    stack: service.stack,
    service: service.name,
    slot: slot.slot,
    revision: revisionFor(service, slot.held),
    createdAt: now,
    attempt: attemptsOf(slot) + 1,
    failures,
    desired,
    state: waitsFor === undefined ? "pending" : "new",
    health: "none",
    message: waitsFor ?? "",
    since: now,
    version: 0,
  };
  // What is of an older run of a job goes altogether.
  const follows = (ended: Task) =>
    ended.desired === "running" && (!isJob(specOf(service)) || isOfSlot(service, slot.held, ended));
  const before = slot.ended.slice(0, HISTORY_PER_SLOT).find(follows);
  return { type: "createTask", task, ...(before === undefined ? {} : { after: before.id }) };
}

/** The number of the slot's latest task. */
function attemptsOf(slot: Slot): number {
  return tasksIn(slot).reduce((latest, task) => Math.max(latest, task.attempt), 0);
}

/** A slot holds one task; two meet there when a node that was thought gone comes back. */
export function stopSurplus(view: View, { keeper, extra }: Surplus): Action[] {
  const node = keeper.nodeId === undefined ? undefined : view.nodes.get(keeper.nodeId);
  const where = node === undefined ? "" : ` on node ${node.hostname}`;
  const reason = `another task${where} holds its slot`;
  return extra.map((task) => ({ type: "stopTask", taskId: task.id, reason }));
}

/** Nobody waits for the end of a task whose node is down: if it is back, it is told again. */
export function giveUpAbandoned(view: View, { abandoned }: Slot): Action[] {
  return abandoned.flatMap((task): Action[] => {
    if (task.desired === "removed") return letGo(view, task);
    const name = (task.nodeId && view.nodes.get(task.nodeId)?.hostname) ?? task.nodeId ?? "";
    return [{ type: "stopTask", taskId: task.id, reason: `node ${name} was down when it ended` }];
  });
}

/**
 * The plan, with tasks retired that ended while their slot went on without them, as where their
 * node was away and another one took their place: their agent would start them again when it is
 * alone. An ended task that is still its slot's latest, and has nobody beside it, is left be.
 * @param slots those that are wanted
 */
export function withRetired(plan: Plan, slots: readonly Slot[]): Plan {
  const acted = new Set<TaskId | undefined>();
  for (const action of plan.actions) {
    if ("taskId" in action) acted.add(action.taskId);
    if (action.type === "createTask") acted.add(action.after);
  }
  const retired = slots.flatMap(supersededIn).filter(({ id }) => !acted.has(id));
  plan.actions.push(...retired.map(({ id }): Action => ({ type: "retireTask", taskId: id })));
  return plan;
}

function supersededIn(slot: Slot): Task[] {
  const { current, outdated, away, stopping, abandoned, ended } = slot;
  const youngest = Math.max(
    0,
    ...[...outdated, ...away, ...stopping, ...abandoned].map(({ attempt }) => attempt),
  );
  return ended.filter((task, i) => {
    if (task.desired !== "running") return false;
    return current.length > 0 || i > 0 || task.attempt < youngest;
  });
}

export function trimHistory(view: View, slot: Slot): Action[] {
  const visible = slot.ended.filter((task) => task.desired !== "removed");
  const gone = slot.ended.filter((task) => task.desired === "removed");
  const past = [...visible.slice(HISTORY_PER_SLOT), ...gone];
  return past.flatMap((task) => letGo(view, task));
}

export function removeSlot(view: View, slot: Slot): Action[] {
  return tasksIn(slot).flatMap((task) => letGo(view, task));
}

/**
 * The next step on a task's way out: ask its node to remove it, then forget it. A node that is down
 * is not asked: it removes what it is no longer told of when it is back.
 */
export function letGo(view: View, task: Task): Action[] {
  if (task.state === "removed" || task.nodeId === undefined || isOutOfReach(view, task)) {
    return [{ type: "deleteTask", taskId: task.id }];
  }
  return task.desired === "removed" ? [] : [{ type: "removeTask", taskId: task.id }];
}
