import { compareText } from "../../lib/order.ts";
import { specOf, type DisconnectPolicy, type Service } from "../../model/service.ts";
import { downNodeOf, isOutOfReach, isServing } from "../../model/serving.ts";
import { isLive, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { heldAt, isOfSlot } from "./held.ts";
import { reasonToLeave } from "./leave.ts";

/** What a slot holds, told apart by what the reconciler does with it. */
export interface Slot {
  readonly slot: string;
  /** The revision that the slot stays at while its turn in a rollout has not come. */
  readonly held?: number;
  /** Live tasks that are as the service should be, where they should be; the oldest first. */
  readonly current: readonly Task[];
  /** Live tasks of an older template, or on a node that they are to leave; the oldest first. */
  readonly outdated: readonly Task[];
  /** Live tasks like the current ones on nodes that are down, the oldest first. */
  readonly away: readonly Task[];
  /** Tasks that were told to end and have not yet. */
  readonly stopping: readonly Task[];
  /** Tasks that were told to end, on nodes that are down or gone: nobody says when they have. */
  readonly abandoned: readonly Task[];
  /** Tasks that ended, the latest first. */
  readonly ended: readonly Task[];
}

/** Sorts a service's tasks into their slots. */
export function slotsOf(view: View, service: Service): Map<string, Slot> {
  const tasks = [...view.tasksOf(service.id)].sort(compareAge);
  const slots = new Map<string, Slot>();
  for (const [slot, all] of Map.groupBy(tasks, (task) => task.slot)) {
    slots.set(slot, sortSlot(view, service, slot, all));
  }
  return slots;
}

function sortSlot(view: View, service: Service, name: string, all: readonly Task[]): Slot {
  const held = heldAt(service, name, all);
  const isOutdated = (task: Task) =>
    !isOfSlot(service, held, task) || reasonToLeave(view, service, task) !== undefined;
  const [outdated, wanted] = partition(all.filter(isLive), isOutdated);
  const [away, current] = partition(wanted, (task) => downNodeOf(view, task) !== undefined);
  const told = all.filter((task) => !isLive(task) && !isTerminal(task.state));
  const [abandoned, stopping] = partition(told, (task) => isOutOfReach(view, task));
  const ended = all.filter((task) => isTerminal(task.state)).reverse();
  const groups = { current, outdated, away, stopping, abandoned, ended };
  return held === undefined ? { slot: name, ...groups } : { slot: name, held, ...groups };
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [yes: T[], no: T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

/** A slot that never had a task. */
export function emptySlot(service: Service, slot: string): Slot {
  const nobody = { current: [], outdated: [], away: [], stopping: [], abandoned: [], ended: [] };
  const held = heldAt(service, slot, []);
  return held === undefined ? { slot, ...nobody } : { slot, held, ...nobody };
}

/** All that a slot holds. */
export function tasksIn(slot: Slot): Task[] {
  const { current, outdated, away, stopping, abandoned, ended } = slot;
  return [...current, ...outdated, ...away, ...stopping, ...abandoned, ...ended];
}

/**
 * The one of several live tasks that keeps the slot: one that serves before one that does not, and
 * of several the one that the service's rule for the return of a node names.
 * @param tasks the oldest first
 */
export function keeperOf(view: View, service: Service, tasks: readonly Task[]): Task | undefined {
  const serving = tasks.filter((task) => isServing(view, task));
  const pool = serving.length > 0 ? serving : tasks;
  return chooseBy(specOf(service).disconnect.reconcile, pool);
}

function chooseBy(rule: DisconnectPolicy["reconcile"], tasks: readonly Task[]): Task | undefined {
  switch (rule) {
    case "keep-original":
      return tasks[0];
    case "keep-replacement":
      return tasks.at(-1);
    case "longest-running":
      return tasks.toSorted((a, b) => startOf(a) - startOf(b))[0];
  }
}

/** By the clock of its node; a task that has not started yet has run the shortest. */
function startOf(task: Task): number {
  return task.startedAt ?? Number.MAX_SAFE_INTEGER;
}

/** A successor that an agent made has the attempt of the task before it, and is the younger. */
function compareAge(a: Task, b: Task): number {
  return a.attempt - b.attempt || a.createdAt - b.createdAt || compareText(a.id, b.id);
}
