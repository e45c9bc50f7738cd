import type { Applied } from "../../src/model/change.ts";
import type { ServiceId } from "../../src/model/ids.ts";
import { specOf, type Service } from "../../src/model/service.ts";
import type { Violation } from "./violation.ts";

interface Rise {
  /** Virtual time, which nobody sets. */
  at: number;
  /** By how much the server's clock was wrong then. */
  skewMs: number;
}

/** What may be written of the number of tasks that a service scales itself to. */
export class ScaleChecks {
  readonly #rises = new Map<ServiceId, Rise>();

  /**
   * @param now virtual time, in ms
   * @param serverNow by the clock of the server's machine
   */
  check(applied: readonly Applied[], now: number, serverNow: number): Violation | undefined {
    for (const one of applied) {
      if (one.kind !== "service" || one.after === undefined) continue;
      const message = this.#wrong(one.before, one.after, now, serverNow - now);
      if (message !== undefined) return { invariant: "scaled", message };
    }
    return undefined;
  }

  #wrong(
    before: Service | undefined,
    after: Service,
    now: number,
    skewMs: number,
  ): string | undefined {
    const { scaledTo: to } = after;
    const { autoscale, replicas } = specOf(after);
    if (to === undefined || autoscale === undefined || to === before?.scaledTo) return undefined;
    const { min, max, down } = autoscale;
    const name = `service ${after.stack}/${after.name}`;
    if (to < min || to > max) return `${name} is scaled to ${to}, beyond ${min} to ${max}`;
    const from = Math.min(Math.max(before?.scaledTo ?? replicas, min), max);
    if (to > from) this.#rises.set(after.id, { at: now, skewMs });
    const rise = this.#rises.get(after.id);
    // A clock that was set meanwhile passes windows in no time, or anew.
    if (to >= from || rise === undefined || rise.skewMs !== skewMs) return undefined;
    const waitedMs = now - rise.at;
    if (waitedMs >= down.windowMs) return undefined;
    return `${name} is scaled down ${waitedMs} ms after it was scaled up, not ${down.windowMs}`;
  }
}
