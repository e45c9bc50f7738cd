import { messageChainOf } from "../../lib/errors.ts";
import { PROBE_ROLES, type EffectiveProbes, type ProbeRole } from "../../model/probe.ts";
import type { Health } from "../../model/task.ts";
import {
  afterCheck,
  beginProbe,
  resumeProbe,
  type CheckResult,
  type ProbeState,
} from "./probe-state.ts";

/** All that is asked of one task, and what has come of it. */
export interface TaskProbes {
  readonly probes: EffectiveProbes;
  /** Those that are asked now: while `startup` has not passed, it alone. */
  readonly states: Readonly<Partial<Record<ProbeRole, ProbeState>>>;
  /** Undefined where nothing that is asked says whether the task gets traffic. */
  readonly health: Health | undefined;
  /** In [0, 1): where in an interval the task is asked. */
  readonly phase: number;
  /** Whether somebody was told why the task is not fit. */
  readonly hasTold: boolean;
}

/** What people and the rest of the agent are told. */
export interface HealthNews {
  health: Health;
  /** Why, in one sentence; empty where there is nothing to say. */
  message: string;
  /** No more is waited for: the task is to be ended. */
  ending: boolean;
}

export interface Beginning {
  now: number;
  /** When the task was started. */
  since: number;
  phase: number;
  /** Whether it was started just now, rather than found running by a new life of the agent. */
  isNew: boolean;
  /** What was last said of it. */
  health: Health;
}

/** What is said of a task that is to be ended. */
const WHY_ENDED: Record<ProbeRole, string> = {
  startup: "did not start",
  ready: "not ready",
  live: "unhealthy",
  healthcheck: "unhealthy",
};

/** What is said of one that gets no traffic. */
const WHY_HELD = "not ready";

/** Takes up a task that runs. */
export function beginProbes(probes: EffectiveProbes, beginning: Beginning): TaskProbes {
  const { now, phase, isNew, health } = beginning;
  const since = Math.min(beginning.since, now);
  const base = { probes, phase, hasTold: health === "unhealthy" };
  if (health === "starting" && probes.startup !== undefined) {
    return { ...base, states: { startup: beginProbe(probes.startup, since, now) }, health };
  }
  const states: Partial<Record<ProbeRole, ProbeState>> = {};
  for (const role of ["ready", "healthcheck"] as const) {
    const probe = probes[role];
    if (probe === undefined) continue;
    const verdict = health === "unhealthy" ? "failing" : "passing";
    states[role] =
      health === "starting"
        ? beginProbe(probe, since, now)
        : resumeProbe(probe, verdict, { now, phase });
  }
  if (probes.live !== undefined) {
    // Nobody waits to hear that a task lives, so it is given the time of one interval.
    const dueAt = now + Math.round(probes.live.intervalMs * (isNew ? 1 : phase));
    states.live = { ...beginProbe(probes.live, since, now), dueAt };
  }
  return { ...base, states, health: healthOf(probes, states) };
}

/** What is to be asked and is not under way, and when, the first of it first. */
export function dueRoles(
  { states }: TaskProbes,
  busy: ReadonlySet<ProbeRole>,
): { role: ProbeRole; at: number }[] {
  const due: { role: ProbeRole; at: number }[] = [];
  for (const role of PROBE_ROLES) {
    const at = states[role]?.dueAt;
    if (at !== undefined && !busy.has(role)) due.push({ role, at });
  }
  return due.sort((a, b) => a.at - b.at);
}

/**
 * The task after one more result of one of its probes, and what is to be told of that, if anything.
 * @param startedAt when that check began
 */
export function withResult(
  task: TaskProbes,
  role: ProbeRole,
  result: CheckResult,
  { startedAt, now }: { startedAt: number; now: number },
): { task: TaskProbes; news?: HealthNews } {
  const { probes, phase } = task;
  const [probe, before] = [probes[role], task.states[role]];
  if (probe === undefined || before === undefined) return { task };
  const state = afterCheck(probe, before, result.ok, { startedAt, now, phase });
  if (role === "startup" && state.verdict === "passing") return afterStartup(task, now);
  const states = { ...task.states, [role]: state };
  if (state.verdict === "failing" && role !== "ready") {
    const message = told(WHY_ENDED[role], result);
    const news = { health: "unhealthy", message, ending: true } as const;
    return { task: { ...task, states: {}, health: "unhealthy" }, news };
  }
  const health = healthOf(probes, states);
  const next = { ...task, states, health };
  if (health === undefined || role === "live") return { task: next };
  if (health !== task.health) {
    const isFit = health === "healthy";
    const message = isFit ? "" : told(WHY_HELD, result);
    return { task: { ...next, hasTold: !isFit }, news: { health, message, ending: false } };
  }
  // The first failure that counts is told, so that people see what a task waits for; once.
  if (health === "healthy" || task.hasTold || state.failures === 0) return { task: next };
  const news = { health, message: told(WHY_HELD, result), ending: false };
  return { task: { ...next, hasTold: true }, news };
}

/**
 * The task after a check that could not be made: it says nothing of the task, and is made again an
 * interval later. A task that waits for it is told what for, once.
 */
export function withTrouble(
  task: TaskProbes,
  role: ProbeRole,
  trouble: unknown,
  now: number,
): { task: TaskProbes; news?: HealthNews } {
  const { probes, health } = task;
  const [probe, before] = [probes[role], task.states[role]];
  if (probe === undefined || before === undefined) return { task };
  const state = { ...before, dueAt: now + probe.intervalMs };
  const next = { ...task, states: { ...task.states, [role]: state } };
  if (health !== "starting" || task.hasTold) return { task: next };
  const message = `it can't be checked: ${messageChainOf(trouble)}`;
  return { task: { ...next, hasTold: true }, news: { health, message, ending: false } };
}

function afterStartup(task: TaskProbes, now: number): { task: TaskProbes; news?: HealthNews } {
  const { probes, phase } = task;
  const { startup: _, ...others } = probes;
  const beginning = { now, since: now, phase, isNew: true, health: "starting" } as const;
  const begun = beginProbes(others, beginning);
  const next = { ...begun, hasTold: task.hasTold };
  if (begun.health !== undefined) return { task: next };
  return {
    task: { ...next, health: "healthy", probes: others },
    news: { health: "healthy", message: "", ending: false },
  };
}

function healthOf(probes: EffectiveProbes, states: TaskProbes["states"]): Health | undefined {
  if (states.startup !== undefined) return "starting";
  const gate = states.ready ?? states.healthcheck;
  if (gate === undefined) return probes.startup === undefined ? undefined : "healthy";
  switch (gate.verdict) {
    case "unknown":
      return "starting";
    case "passing":
      return "healthy";
    case "failing":
      return "unhealthy";
  }
}

function told(why: string, { output }: CheckResult): string {
  return output === "" ? why : `${why}: ${output}`;
}
