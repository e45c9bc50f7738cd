import { specOf, type Service } from "../../model/service.ts";
import { isReady } from "../../model/task.ts";
import { decideRestart } from "./restart.ts";
import { keeperOf, type Slot } from "./slot.ts";

/** What moving slots from an older template to the current one asks for now. */
export interface Replacements {
  /** Slots whose outdated tasks are to end. */
  stop: Slot[];
  /** Slots that get a current task beside the outdated one. */
  start: { slot: Slot; failures: number }[];
  /** Look again at this time, in ms since 1970. */
  wakeAt?: number;
}

/**
 * Replaces outdated tasks slot by slot, at most `parallelism` slots at once. An outdated task that
 * is not ready serves nobody and goes at once; a ready one goes when its slot's turn comes, before
 * its successor (stop-first) or after the successor is ready (start-first).
 * @param now milliseconds since 1970
 */
export function replacementsOf(
  service: Service,
  slots: readonly Slot[],
  now: number,
): Replacements {
  const result: Replacements = { stop: [], start: [] };
  const old = slots.filter((slot) => slot.outdated.length > 0);
  if (old.length === 0) return result;
  const wake = (at: number) => (result.wakeAt = Math.min(result.wakeAt ?? at, at));

  const { order, parallelism, delayMs } = specOf(service).update;
  let busy = 0;
  const waiting: Slot[] = [];
  for (const slot of slots) {
    const successor = keeperOf(slot.current);
    if (slot.outdated.length > 0 && !slot.outdated.some(isReady)) {
      result.stop.push(slot);
      busy += 1;
    } else if (slot.outdated.length > 0 && successor === undefined) {
      const failed = afterSuccessor(service, slot);
      if (failed === undefined) {
        waiting.push(slot);
        continue;
      }
      busy += 1;
      if (failed.type !== "retry") continue;
      if (failed.at > now) wake(failed.at);
      else result.start.push({ slot, failures: failed.failures });
    } else if (slot.outdated.length > 0 && successor !== undefined && isReady(successor)) {
      result.stop.push(slot);
      busy += 1;
    } else if (successor === undefined) {
      if (!isDone(service, slot)) busy += 1;
    } else if (!isReady(successor)) {
      busy += 1;
    } else {
      const settledAt = (successor.startedAt ?? successor.since) + delayMs;
      if (settledAt <= now) continue;
      busy += 1;
      wake(settledAt);
    }
  }
  const turns = parallelism === 0 ? waiting.length : Math.max(0, parallelism - busy);
  for (const slot of waiting.slice(0, turns)) {
    if (order === "start-first") result.start.push({ slot, failures: 0 });
    else result.stop.push(slot);
  }
  return result;
}

/** Whether an empty slot is to stay empty because its work is done. */
function isDone(service: Service, slot: Slot): boolean {
  return slot.stopping.length === 0 && afterSuccessor(service, slot)?.type === "done";
}

/** What follows on a successor of this slot that ended already; undefined if there was none. */
function afterSuccessor(service: Service, slot: Slot) {
  const latest = slot.ended.find((task) => task.revision >= service.templateRevision);
  return latest === undefined ? undefined : decideRestart(latest, specOf(service).restart);
}
