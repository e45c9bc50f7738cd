import type { ServiceId } from "../../model/ids.ts";
import { isUnderWay, UPDATE_DEFAULTS } from "../../model/rollout.ts";
import { policyInForce, type Service } from "../../model/service.ts";
import { isServing } from "../../model/serving.ts";
import { rankOf, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** How often a rollout with this deadline is looked at, at least. */
export function lookEveryMs(deadlineMs: number): number {
  return Math.min(Math.max(1000, Math.ceil(deadlineMs / 4)), 60_000);
}

interface Watch {
  /** The rollout, and what a person last made of it. */
  of: string;
  /** The furthest that it got, as a number that grows with each step of each slot. */
  furthest: number;
  stalledMs: number;
  lookedAt: number;
}

/**
 * For how long rollouts have stood still. Only time that passes between looks counts, and of a long
 * gap little, so that neither a clock that is set nor a server that slept makes one fail; what was
 * waited before a restart of the server is forgotten.
 */
export class Patience {
  readonly #watches = new Map<ServiceId, Watch>();

  /**
   * Looks at a service; answers for how many milliseconds no slot of its rollout got further.
   * @param now milliseconds since 1970
   */
  look(view: View, id: ServiceId, now: number): number {
    const service = view.services.get(id);
    if (service === undefined || !isUnderWay(service.rollout)) {
      this.#watches.delete(id);
      return 0;
    }
    const { to, startedAt, state, resumedAt, failed, promoted } = service.rollout;
    const of = [to, startedAt, state, resumedAt, failed.length, promoted].join(" ");
    const reached = progressOf(view, service, to);
    const before = this.#watches.get(id);
    if (before === undefined || before.of !== of || reached > before.furthest) {
      this.#watches.set(id, { of, furthest: reached, stalledMs: 0, lookedAt: now });
      return 0;
    }
    // A clock that is set on by a day adds no more than a look that is late.
    const most = Math.ceil(1.5 * lookEveryMs(deadlineOf(service)));
    before.stalledMs += Math.min(Math.max(0, now - before.lookedAt), most);
    before.lookedAt = now;
    return before.stalledMs;
  }
}

function deadlineOf(service: Service): number {
  return policyInForce(service).progressDeadlineMs ?? UPDATE_DEFAULTS.progressDeadlineMs;
}

/** Grows with each step that a new task takes, and with each slot that is done. */
function progressOf(view: View, service: Service, to: number): number {
  const young = view.tasksOf(service.id).filter((task) => task.revision >= to);
  const bySlot = Map.groupBy(young, (task) => task.slot);
  let sum = 0;
  for (const tasks of bySlot.values()) sum += Math.max(...tasks.map((t) => stepsOf(view, t)));
  return sum;
}

/** An attempt that ended has got nowhere. */
function stepsOf(view: View, task: Task): number {
  if (isServing(view, task)) return 100;
  const rank = rankOf(task.state);
  return rank <= rankOf("running") ? rank : 0;
}
