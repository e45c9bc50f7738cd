import type { Probe } from "../../model/probe.ts";

/**
 * One probe of one task, as far as it is: time and results in, and when it is due next and what it
 * has found out. Times are whole milliseconds since some moment, and never jump.
 */
export interface ProbeState {
  /** When it began: what start periods are counted from. */
  readonly since: number;
  readonly dueAt: number;
  /** A success has ended the start period. */
  readonly hasStarted: boolean;
  /** Successes in a row. */
  readonly successes: number;
  /** Failures in a row that count. */
  readonly failures: number;
  readonly verdict: "unknown" | "passing" | "failing";
}

/** What came of one check. */
export interface CheckResult {
  ok: boolean;
  /** What it said, for people. */
  output: string;
}

/** How soon a new task is asked again, as a part of the time that it has had; and at the least. */
const EAGER = {
  /** A connection costs next to nothing. */
  socket: { part: 0.1, leastMs: 20 },
  /** A process costs much. */
  exec: { part: 0.5, leastMs: 500 },
} as const;

/** A probe of a task that has just begun, or is about to be asked for the first time. */
export function beginProbe(probe: Probe, since: number, now: number): ProbeState {
  const dueAt = now + eagerDelay(probe, now - since);
  return { since, dueAt, hasStarted: false, successes: 0, failures: 0, verdict: "unknown" };
}

/**
 * A probe of a task of which the verdict is known, as after a restart of the agent. It is asked
 * within one interval.
 * @param phase a number in [0, 1), so that not all are asked at once
 */
export function resumeProbe(
  probe: Probe,
  verdict: "passing" | "failing",
  { now, phase }: { now: number; phase: number },
): ProbeState {
  const dueAt = now + Math.round(probe.intervalMs * phase);
  return { since: now, dueAt, hasStarted: true, successes: 0, failures: 0, verdict };
}

/**
 * The probe after one more result.
 * @param startedAt when that check began
 * @param phase a number in [0, 1), which the same task always has
 */
export function afterCheck(
  probe: Probe,
  state: ProbeState,
  ok: boolean,
  { startedAt, now, phase }: { startedAt: number; now: number; phase: number },
): ProbeState {
  const hasStarted = state.hasStarted || ok;
  const counts = hasStarted || startedAt >= graceEnd(probe, state);
  const successes = ok ? state.successes + 1 : 0;
  const failures = ok ? 0 : state.failures + (counts ? 1 : 0);
  const verdict =
    successes >= probe.successes
      ? "passing"
      : failures >= probe.failures
        ? "failing"
        : state.verdict;
  const next = { since: state.since, hasStarted, successes, failures, verdict };
  const isFirstPass = verdict === "passing" && state.verdict === "unknown";
  return { ...next, dueAt: now + delayAfter(probe, next, { now, phase, isFirstPass }) };
}

/**
 * Until then failures don't count. As Docker first asks after one interval, so what is asked before
 * that, only to learn early that a task is ready, counts against nobody.
 */
function graceEnd({ startPeriodMs, intervalMs }: Probe, { since }: Pick<ProbeState, "since">) {
  return since + Math.max(startPeriodMs, intervalMs);
}

function delayAfter(
  probe: Probe,
  state: Omit<ProbeState, "dueAt">,
  { now, phase, isFirstPass }: { now: number; phase: number; isFirstPass: boolean },
): number {
  // Tasks that became ready together are not asked together for ever.
  if (isFirstPass) return Math.round(probe.intervalMs * (0.5 + phase / 2));
  const leftMs = graceEnd(probe, state) - now;
  if (state.hasStarted || leftMs <= 0) return probe.intervalMs;
  return Math.min(eagerDelay(probe, now - state.since), leftMs);
}

/** The longer a task takes to start, the less it matters to know at once that it has. */
function eagerDelay({ check, startIntervalMs }: Probe, sinceMs: number): number {
  const { part, leastMs } = check.type === "exec" ? EAGER.exec : EAGER.socket;
  return Math.min(Math.max(leastMs, Math.round(sinceMs * part)), startIntervalMs);
}
