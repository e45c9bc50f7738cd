import { formatDuration, plural } from "../../lib/text.ts";
import type { JobSummary, Progress, ServiceSummary } from "../../model/summary.ts";
import { cleanText } from "../output/clean.ts";
import type { Color, Paint } from "../output/color.ts";

export type Goal = "converged" | "removed";
type Phase =
  | "scheduled"
  | "working"
  | "done"
  | "starting"
  | "replacing"
  | "stopping"
  | "failing"
  | "ready"
  | "removed";

/** Where nothing is waited for any more. */
const DONE: ReadonlySet<Phase> = new Set(["ready", "done", "scheduled", "removed"]);

/** Further lines of one phase than these are not kept apart. */
const TOLD_KEPT = 16;

/** What a person was told of a service. */
interface ServiceProgress {
  readonly phase: Phase;
  readonly ready: number;
  readonly wanted: number;
  /** Tasks that are still there, ready or not. */
  readonly left: number;
  readonly message: string;
  /** Whether tasks count that are complete, rather than ready. */
  readonly isJob?: boolean;
  /** Lines told since the phase began: a service that fails in a circle repeats itself. */
  readonly told: readonly string[];
  /** When it came to rest, in ms since 1970. */
  readonly doneAt?: number;
}
type Seen = Omit<ServiceProgress, "told" | "doneAt">;

/** How far something is, as far as it was seen. */
export interface ProgressState {
  readonly goal: Goal;
  /** When the following began, in ms since 1970. */
  readonly startedAt: number;
  readonly services: ReadonlyMap<string, ServiceProgress>;
}

export function newProgress(goal: Goal, now: number): ProgressState {
  return { goal, startedAt: now, services: new Map() };
}

/**
 * The state after one more message of the server, and a line for each service that changed.
 * @param now milliseconds since 1970
 */
export function advance(
  state: ProgressState,
  progress: Progress,
  now: number,
): { state: ProgressState; lines: string[] } {
  const services = new Map<string, ServiceProgress>();
  const lines: string[] = [];
  const put = (name: string, next: Seen) => {
    const before = state.services.get(name);
    const isDone = DONE.has(next.phase);
    const doneAt = isDone ? { doneAt: before?.doneAt ?? now } : {};
    const line = formatChange(name, next);
    const toldBefore = before?.phase === next.phase ? before.told : [];
    const isNews = !toldBefore.includes(line);
    if (isNews) lines.push(line);
    const told = isNews ? [...toldBefore, line].slice(-TOLD_KEPT) : toldBefore;
    services.set(name, { ...next, ...doneAt, told });
  };
  for (const summary of progress.services) {
    put(`${summary.stack}/${summary.name}`, seen(summary, state.goal));
  }
  for (const [name, before] of state.services) {
    if (services.has(name)) continue;
    put(name, { phase: "removed", ready: 0, wanted: 0, left: 0, message: before.message });
  }
  return { state: { ...state, services }, lines };
}

function seen(summary: ServiceSummary, goal: Goal): Seen {
  if (summary.job !== undefined && goal === "converged") return seenJob(summary, summary.job);
  const { ready, wanted, outdated, running, message } = summary;
  const left = Math.max(ready, running + outdated);
  return { phase: phaseOf(summary, goal, left), ready, wanted, left, message };
}

/** Of a job those tasks count that are complete. */
function seenJob({ converged, message, wanted: all }: ServiceSummary, job: JobSummary): Seen {
  const [run] = job.runs;
  const { completed = 0, wanted = all, active = 0, failures = 0 } = run ?? {};
  const count = { ready: completed, wanted, left: active, message, isJob: true };
  if (job.cron !== undefined && converged) return { ...count, phase: "scheduled" };
  if (converged) return { ...count, phase: "done" };
  const isFailing = failures > 0 || run?.result === "failed";
  return { ...count, phase: isFailing ? "failing" : "working" };
}

function phaseOf(summary: ServiceSummary, goal: Goal, left: number): Phase {
  if (goal === "removed") return left === 0 ? "removed" : "stopping";
  if (summary.converged) return "ready";
  if (summary.failures > 0 && summary.ready < summary.wanted) return "failing";
  if (summary.outdated > 0) return "replacing";
  return left > summary.wanted ? "stopping" : "starting";
}

/** `shop/web: starting, 1 of 3 ready: pulling the image` */
function formatChange(name: string, service: Seen): string {
  const { phase, message } = service;
  const why = message === "" || DONE.has(phase) ? "" : `: ${message}`;
  return cleanText(`${name}: ${phase}${countOf(service)}${why}`);
}

function countOf({ phase, ready, wanted, left, isJob }: Seen): string {
  if (phase === "removed" || phase === "scheduled") return "";
  if (phase === "stopping") return `, ${plural(left, "task")} left`;
  return `, ${ready} of ${wanted} ${isJob === true ? "complete" : "ready"}`;
}

const PHASE_COLORS: Record<Phase, Color> = {
  working: "cyan",
  done: "green",
  scheduled: "green",
  starting: "cyan",
  replacing: "cyan",
  stopping: "cyan",
  failing: "red",
  ready: "green",
  removed: "green",
};

/**
 * One line for each service, to be drawn in place.
 * @param now milliseconds since 1970
 */
export function formatProgress(state: ProgressState, now: number, paint: Paint): string[] {
  const names = [...state.services.keys()].map(cleanText);
  const width = Math.max(0, ...names.map((name) => Bun.stringWidth(name)));
  return [...state.services].map(([name, service]) => {
    const shown = cleanText(name);
    const { phase, ready, wanted, left } = service;
    const count = state.goal === "removed" ? `${left} left` : `${ready}/${wanted}`;
    const elapsed = formatDuration((service.doneAt ?? now) - state.startedAt);
    const message = service.doneAt === undefined ? cleanText(service.message) : "";
    const cells = [
      shown + " ".repeat(width - Bun.stringWidth(shown)),
      paint(PHASE_COLORS[phase], phase.padEnd(9)),
      count.padStart(7),
      elapsed.padStart(7),
      paint("dim", message),
    ];
    return cells.join("  ").trimEnd();
  });
}
