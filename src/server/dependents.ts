import type { ServiceId } from "../model/ids.ts";
import { specOf, type Service } from "../model/service.ts";
import { isReady, isTerminal, type Task } from "../model/task.ts";

/** Which services wait for which, so that a change of one is looked at for the others. */
export class Dependents {
  /** By the stack and name of what is depended on. */
  readonly #waiting = new Map<string, Set<ServiceId>>();

  /** Takes note of a service as it is now. */
  note(before: Service | undefined, after: Service | undefined): void {
    if (before !== undefined) this.#forget(before);
    if (after === undefined) return;
    for (const key of keysOf(after)) {
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting.add(after.id));
    }
  }

  /** The services that depend on this one. */
  of(stack: string, service: string): Iterable<ServiceId> {
    return this.#waiting.get(`${stack}/${service}`) ?? [];
  }

  #forget(service: Service): void {
    for (const key of keysOf(service)) {
      const waiting = this.#waiting.get(key);
      waiting?.delete(service.id);
      if (waiting?.size === 0) this.#waiting.delete(key);
    }
  }
}

/** Whether somebody who waits for the task's service may have waited for this change. */
export function concernsDependents(before: Task | undefined, after: Task | undefined): boolean {
  if (before === undefined || after === undefined) return after === undefined;
  return (
    before.startedAt !== after.startedAt ||
    isReady(before) !== isReady(after) ||
    isTerminal(before.state) !== isTerminal(after.state)
  );
}

function keysOf(service: Service): string[] {
  return (specOf(service).dependsOn ?? []).map((one) => `${service.stack}/${one.service}`);
}
