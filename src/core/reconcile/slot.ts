import { compareText } from "../../lib/order.ts";
import { isLive, isReady, isTerminal, type Task } from "../../model/task.ts";

/** What a slot holds, told apart by what the reconciler does with it. */
export interface Slot {
  readonly slot: string;
  /** Live tasks that are as the service should be, the oldest first. */
  readonly current: readonly Task[];
  /** Live tasks of an older template, the oldest first. */
  readonly outdated: readonly Task[];
  /** Tasks that were told to end and have not yet. */
  readonly stopping: readonly Task[];
  /** Tasks that ended, the latest first. */
  readonly ended: readonly Task[];
}

/** Sorts a service's tasks into their slots. */
export function slotsOf(tasks: readonly Task[], templateRevision: number): Map<string, Slot> {
  const bySlot = Map.groupBy([...tasks].sort(compareAge), (task) => task.slot);
  const slots = new Map<string, Slot>();
  for (const [slot, all] of bySlot) {
    const live = all.filter(isLive);
    slots.set(slot, {
      slot,
      current: live.filter((task) => task.revision >= templateRevision),
      outdated: live.filter((task) => task.revision < templateRevision),
      stopping: all.filter((task) => !isLive(task) && !isTerminal(task.state)),
      ended: all.filter((task) => isTerminal(task.state)).reverse(),
    });
  }
  return slots;
}

export function emptySlot(slot: string): Slot {
  return { slot, current: [], outdated: [], stopping: [], ended: [] };
}

/** The one of several live tasks that keeps the slot: a ready one, then the oldest. */
export function keeperOf(tasks: readonly Task[]): Task | undefined {
  return tasks.find(isReady) ?? tasks[0];
}

function compareAge(a: Task, b: Task): number {
  return a.attempt - b.attempt || compareText(a.id, b.id);
}
