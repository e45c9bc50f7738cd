import { parseCron, type Cron } from "../../model/cron.ts";
import { latestFires, nextFire } from "../../model/fire-times.ts";
import { isOver, MISSED_MAX, NO_RUNS, SET_BACKS_MAX, withRun } from "../../model/job.ts";
import type { JobRuns, Schedule } from "../../model/job.ts";
import { currentRevision, specOf, type Service } from "../../model/service.ts";
import { timeZoneOf, type TimeZone } from "../../model/time-zone.ts";

type Handled = NonNullable<JobRuns["handled"]>;

/** A time that passed longer ago than this was missed: timers look at least once a minute. */
export const LATE_MS = 90_000;

/**
 * A clock that is set back by more than this was wrong before, and the new time counts at once; by
 * less, times that were dealt with are waited for. The rule and figure of cron(8) of Debian.
 */
export const SET_BACK_MS = 3 * 3_600_000;

/** Runs of one service at once, where its rule for overlap sets no limit. */
const ACTIVE_MAX = 100;

interface When {
  cron: Cron;
  zone: TimeZone;
}

/** The runs with those that are due, and when the next one is. */
export interface DueRuns {
  runs: JobRuns;
  /** Milliseconds since 1970. */
  wakeAt?: number;
}

/**
 * Begins the runs of a scheduled job that are due. Which times have passed is counted from the one
 * that was dealt with last, whatever happened since: a server that was away, a power cut or a clock
 * that was set forth leaves times that were missed, and the service's rule says how many runs they
 * get. The runs and that time are written together, so that none is lost or begun twice.
 * @param runs with those that are over marked so
 * @param now milliseconds since 1970
 */
export function dueRuns(service: Service, runs: JobRuns, now: number): DueRuns {
  const { schedule } = specOf(service);
  const when = schedule && whenOf(schedule);
  if (schedule === undefined || when === undefined) return { runs };
  const key = keyOf(schedule);
  if (runs.handled?.schedule !== key) {
    const fresh = { ...runs, handled: { schedule: key, until: now } };
    return withNext(runs.handled === undefined ? replaceActive(fresh, now) : fresh, when, now);
  }
  const handled = afterSetBack(runs.handled, now);
  const after = markOf(handled);
  // A clock that is behind by less than hours waits for what was dealt with.
  if (after > now) return withNext({ ...runs, handled }, when, now);
  const max = schedule.missed === "all" ? MISSED_MAX : 1;
  const times = latestFires(when.cron, when.zone, { after, upTo: now, max });
  let next: JobRuns = { ...runs, handled };
  for (const at of times) {
    const isLate = now - at > LATE_MS;
    // What was missed is done one after the other: it must not come down all at once.
    if (isLate && schedule.missed === "all" && hasActive(next)) break;
    next = { ...handle(service, next, at, now), handled: marked(handled, at) };
  }
  return withNext(next, when, now);
}

/** When the schedule fires next after what was dealt with; undefined for any other service. */
export function nextRunAt(service: Service): number | undefined {
  const { schedule } = specOf(service);
  const when = schedule && whenOf(schedule);
  const handled = service.runs?.handled;
  if (when === undefined || handled === undefined) return undefined;
  return nextFire(when.cron, when.zone, markOf(handled));
}

/** The latest time that was dealt with, in ms since 1970. */
export function markOf(handled: Handled): number {
  return handled.setBack?.at(-1) ?? handled.until;
}

/**
 * The runs of a scheduled job with one that somebody asks for now; or why there can't be one.
 * @param now milliseconds since 1970
 */
export function runByHand(service: Service, now: number): { runs: JobRuns } | { problem: string } {
  const { schedule } = specOf(service);
  let runs = service.runs ?? NO_RUNS;
  if (schedule !== undefined && runs.handled === undefined) {
    runs = { ...runs, handled: { schedule: keyOf(schedule), until: now } };
  }
  const active = runs.list.find((run) => !isOver(run));
  if (active !== undefined && schedule?.overlap === "skip") {
    return { problem: `run ${active.run} is not over, and its schedule lets no two run at once` };
  }
  if (schedule?.overlap === "replace") runs = replaceActive(runs, now);
  return { runs: withRun(runs, { revision: currentRevision(service).revision, startedAt: now }) };
}

function whenOf({ cron, timeZone }: Schedule): When | undefined {
  const parsed = parseCron(cron);
  const zone = timeZoneOf(timeZone);
  return "problem" in parsed || zone === undefined ? undefined : { cron: parsed.cron, zone };
}

function keyOf({ cron, timeZone }: Schedule): string {
  return `${cron} ${timeZone}`;
}

/** Deals with one time that has passed. */
function handle(service: Service, runs: JobRuns, at: number, now: number): JobRuns {
  const { schedule } = specOf(service);
  if (schedule === undefined) return runs;
  const lateMs = now - at;
  if (schedule.missed === "skip" && lateMs > LATE_MS) {
    return skipped(runs, at, "nobody was there to begin it at its time");
  }
  if (schedule.deadlineMs !== undefined && lateMs > schedule.deadlineMs) {
    return skipped(runs, at, "it could not begin in time");
  }
  const active = runs.list.filter((run) => !isOver(run));
  const [last] = active;
  if (last !== undefined && schedule.overlap === "skip") {
    return skipped(runs, at, `run ${last.run} was not over`);
  }
  if (active.length >= ACTIVE_MAX && schedule.overlap === "allow") {
    return skipped(runs, at, `${ACTIVE_MAX} runs were not over`);
  }
  const free = schedule.overlap === "replace" ? replaceActive(runs, now) : runs;
  const { revision } = currentRevision(service);
  return withRun(free, { revision, startedAt: now, scheduledAt: at });
}

function skipped(runs: JobRuns, at: number, reason: string): JobRuns {
  return { ...runs, skipped: runs.skipped + 1, lastSkip: { at, reason } };
}

function replaceActive(runs: JobRuns, now: number): JobRuns {
  const list = runs.list.map((run) =>
    isOver(run) ? run : { ...run, result: "replaced" as const, finishedAt: now },
  );
  return { ...runs, list };
}

function hasActive(runs: JobRuns): boolean {
  return runs.list.some((run) => !isOver(run));
}

function withNext(runs: JobRuns, { cron, zone }: When, now: number): DueRuns {
  if (runs.handled === undefined) return { runs };
  const wakeAt = nextFire(cron, zone, markOf(runs.handled));
  // What is due and waits for the end of a run is looked at when that has come.
  return wakeAt === undefined || wakeAt <= now ? { runs } : { runs, wakeAt };
}

/** What has been dealt with, by the clock as it is now. */
function afterSetBack(handled: Handled, now: number): Handled {
  const marks = marksOf(handled);
  const reached = marks.findIndex((mark) => mark <= now);
  // The clock has caught up with what was dealt with before it was set back.
  if (reached >= 0) return withMarks(handled, marks.slice(0, reached + 1));
  if (markOf(handled) - now <= SET_BACK_MS) return handled;
  // A clock that comes back from a leap waits for what was dealt with before it.
  const { leaptFrom = now } = handled;
  const isBack = leaptFrom > now && leaptFrom - now <= SET_BACK_MS;
  return withMarks(handled, [...marks, isBack ? leaptFrom : now]);
}

function marked(handled: Handled, at: number): Handled {
  const before = markOf(handled);
  const leap = at - before > SET_BACK_MS ? { leaptFrom: before } : {};
  return withMarks({ ...handled, ...leap }, [...marksOf(handled).slice(0, -1), at]);
}

/** The times up to which all is dealt with, the latest first; the last one counts now. */
function marksOf({ until, setBack = [] }: Handled): number[] {
  return [until, ...setBack];
}

function withMarks(handled: Handled, marks: readonly number[]): Handled {
  const { setBack: _, ...rest } = handled;
  const [until = handled.until, ...setBack] = marks;
  if (setBack.length === 0) return { ...rest, until };
  return { ...rest, until, setBack: setBack.slice(-SET_BACKS_MAX) };
}
