import type { Check, ProbeRole, Probes } from "../../src/model/probe.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { Container } from "./machine.ts";

/** By its port each check of a run tells its role. */
export const PORT_OF_ROLE = { startup: 1, ready: 2, live: 3, healthcheck: 4 } as const;

/**
 * What one life of an agent has been told by the checks that it made: by that alone it may end a
 * task for its health. Counted here again, without any of its code.
 */
export class FoundSick {
  readonly #failures = new Map<string, number>();
  readonly #found = new Set<TaskId>();

  /** An answer has come to whoever asked. */
  note(container: Container, check: Check, { ok, at }: { ok: boolean; at: number }): void {
    const role = roleOf(check);
    const probe = role && container.probes?.[role];
    if (role === undefined || probe === undefined) return;
    const passed = (container.passed ??= new Set());
    if (ok) passed.add(role);
    const isStarting = !passed.has(role) && at < graceEnd(container, role);
    const key = `${container.taskId} ${role}`;
    const failures = ok || isStarting ? 0 : (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    if (role === "ready" || failures < (probe.failures ?? 3)) return;
    this.#found.add(container.taskId);
    container.wasFoundSick = true;
  }

  has(taskId: TaskId): boolean {
    return this.#found.has(taskId);
  }
}

function roleOf(check: Check): ProbeRole | undefined {
  const port = check.type === "exec" ? undefined : check.port;
  const roles = Object.keys(PORT_OF_ROLE) as (keyof typeof PORT_OF_ROLE)[];
  return roles.find((role) => PORT_OF_ROLE[role] === port);
}

/** Until then failures don't count; what is asked after a startup probe begins later than this. */
function graceEnd({ probes, startedAt = 0 }: Container, role: keyof Probes): number {
  const { startPeriodMs = 0, intervalMs = 0 } = probes?.[role] ?? {};
  return startedAt + Math.max(startPeriodMs, intervalMs);
}
