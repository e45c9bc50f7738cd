import { formatDuration, plural } from "../../lib/text.ts";
import { equalJson, sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { isOver, NO_RUNS, withRun, type JobRun, type JobRuns } from "../../model/job.ts";
import { currentRevision, isGlobal, restartOf, specOf } from "../../model/service.ts";
import type { Service } from "../../model/service.ts";
import { isOutOfReach } from "../../model/serving.ts";
import { baseOfSlot, runOfSlot } from "../../model/slot-name.ts";
import { isFailure, isLive, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { fillSlot, giveUpAbandoned, HISTORY_PER_SLOT, letGo, nextAttempt } from "./attempt.ts";
import { removeSlot, stopSurplus, withRetired } from "./attempt.ts";
import { dueRuns } from "./cron.ts";
import { waitOf, withWaiting } from "./depends.ts";
import { homesOf, surplusOf } from "./disconnect.ts";
import { reasonToLeave } from "./leave.ts";
import type { Action, Plan } from "./plan.ts";
import { decideRestart } from "./restart.ts";
import { isCurrent } from "./held.ts";
import { emptySlot, slotsOf, tasksIn, type Slot } from "./slot.ts";
import { slotsInReach, wantedSlots } from "./wanted.ts";

/** A job as it is looked at. */
interface Look {
  view: View;
  service: Service;
  slots: ReadonlyMap<string, Slot>;
  /** Milliseconds since 1970. */
  now: number;
  random: Random;
}

/** As much of it as telling the slots of a run needs. */
type Places = Pick<Look, "view" | "service" | "slots">;

/**
 * What to do for a job: begin the runs that are due, fill their slots until each has a task that
 * completed, and say when a run is over. A job without a schedule has one run for each template; a
 * scheduled one has a run at each of its times, each with slots of its own.
 * @param now milliseconds since 1970
 */
export function planJob(view: View, service: Service, now: number, random: Random): Plan {
  const look: Look = { view, service, slots: slotsOf(view, service), now, random };
  const known = service.runs ?? NO_RUNS;
  const judged = { ...known, list: known.list.map((run) => judge(look, run)) };
  const due = isScheduled(service)
    ? dueRuns(service, judged, now)
    : { runs: runOfTemplate(look, judged) };
  const runs = withoutOldest(service, due.runs);
  const plan: Plan = { actions: [] };
  const wake = (at: number) => (plan.wakeAt = Math.min(plan.wakeAt ?? at, at));
  if (due.wakeAt !== undefined) wake(due.wakeAt);
  const waitsFor = waitOf(view, service);
  const kept = new Set<string>();
  for (const run of runs.list) {
    const names = namesIn(look, run, runs);
    for (const name of names) kept.add(name);
    const end = endOf(service, run);
    if (end !== undefined && end > now) wake(end);
    const isHeld = isOver(run) || mustWait(look, runs);
    plan.actions.push(...workOn(look, run, names, { isHeld, waitsFor, wake }));
  }
  plan.actions.push(...remember(look, runs, kept));
  for (const slot of sortedBy(look.slots.values(), (s) => s.slot)) {
    if (!kept.has(slot.slot)) plan.actions.push(...removeSlot(view, slot));
  }
  const wanted = [...look.slots.values()].filter((slot) => kept.has(slot.slot));
  return withWaiting(withRetired(plan, wanted), view, service, waitsFor);
}

export function isScheduled(service: Service): boolean {
  return specOf(service).schedule !== undefined;
}

/** The run that the service is about now: the latest one, if there was any. */
export function latestRun(service: Service): JobRun | undefined {
  return service.runs?.list[0];
}

/**
 * Whether all that was asked for is done: the run of the newest template is complete, and of a
 * scheduled job, that its times are kept.
 */
export function isJobConverged(view: View, service: Service): boolean {
  const run = latestRun(service);
  if (isScheduled(service)) return service.runs?.handled !== undefined;
  if (run === undefined || !isRunOfTemplate(service, run) || run.result !== "complete")
    return false;
  const slots = slotsOf(view, service);
  const isAllDone = slotsInReach(view, service).every((name) => {
    const slot = slots.get(name);
    return slot !== undefined && doneIn(service, slot) !== undefined;
  });
  const isOpen = (task: Task) => !isTerminal(task.state) && !isOutOfReach(view, task);
  return isAllDone && !view.tasksOf(service.id).some(isOpen);
}

/** When the run that a slot is part of has to be over, in ms since 1970; undefined: at no time. */
export function endOfSlot(service: Service, slot: string): number | undefined {
  const number = isScheduled(service) ? runOfSlot(slot) : latestRun(service)?.run;
  const run = service.runs?.list.find((one) => one.run === number);
  return run && endOf(service, run);
}

/** When each run that is not over has to be, in ms since 1970. */
export function endsOfRuns(service: Service): number[] {
  const ends = service.runs?.list.map((run) => endOf(service, run)) ?? [];
  return ends.filter((end) => end !== undefined);
}

/** How many tasks the latest run wants. */
export function wantedInRun(view: View, service: Service): number {
  const run = latestRun(service);
  return slotsInReach(view, service, isScheduled(service) ? run?.run : undefined).length;
}

/** How far a run is, by its tasks. */
export interface RunCount {
  wanted: number;
  completed: number;
  active: number;
  failures: number;
}

/** Counts the tasks of a run; of one that is long over those that are kept. */
export function countRun(view: View, service: Service, run: JobRun): RunCount {
  const slots = slotsOf(view, service);
  const look = { view, service, slots };
  const counted = namesIn(look, run, service.runs ?? NO_RUNS).map(
    (name) => slots.get(name) ?? emptySlot(service, name),
  );
  const all = counted.flatMap((slot) => tasksIn(slot));
  return {
    wanted: run.wanted ?? counted.length,
    completed:
      run.completed ?? counted.filter((slot) => doneIn(service, slot) !== undefined).length,
    active: all.filter((task) => !isTerminal(task.state)).length,
    failures: counted.reduce((sum, slot) => sum + failuresIn(service, slot), 0),
  };
}

/** The run of the newest template, begun where there is none yet. */
function runOfTemplate({ service, now }: Look, runs: JobRuns): JobRuns {
  const [latest] = runs.list;
  const isIt = latest !== undefined && isRunOfTemplate(service, latest);
  if (runs.handled === undefined && isIt && latest.result !== "replaced") return runs;
  const list = runs.list.map((run) =>
    isOver(run) ? run : { ...run, result: "replaced" as const, finishedAt: now },
  );
  const { handled: _, ...rest } = runs;
  const { revision } = currentRevision(service);
  return withRun({ ...rest, list }, { revision, startedAt: now });
}

function isRunOfTemplate(service: Service, run: JobRun): boolean {
  return run.revision >= service.templateRevision;
}

/** The run with its result, where it has one by now; or the very same object. */
function judge(look: Look, run: JobRun): JobRun {
  const { service, now } = look;
  // A job that is done has more to do when it is scaled up, or a node joins.
  const canReopen = run.result === "complete" && isOpenEnded(service, run);
  if (isOver(run) && !canReopen) return run;
  if (!isScheduled(service) && !isRunOfTemplate(service, run)) {
    return isOver(run) ? run : { ...run, result: "replaced", finishedAt: now };
  }
  const names = slotsInReach(look.view, service, runNumber(service, run));
  const slots = names.map((name) => look.slots.get(name) ?? emptySlot(look.service, name));
  const isDone = slots.every((slot) => doneIn(service, slot) !== undefined);
  const wanted = slots.length;
  const completed = slots.filter((slot) => doneIn(service, slot) !== undefined).length;
  if (isDone && (wanted > 0 || !isGlobal(specOf(service)))) {
    if (canReopen && run.wanted === wanted) return run;
    return { ...run, result: "complete", finishedAt: now, wanted, completed };
  }
  if (canReopen && slots.length === 0) return run;
  const { result: _, finishedAt: __, wanted: ___, completed: ____, ...open } = run;
  if (canReopen) return { ...open, startedAt: now };
  const failure = failureOf(look, run, slots)?.slice(0, 1000);
  return failure === undefined
    ? run
    : { ...run, result: "failed", finishedAt: now, wanted, completed, message: failure };
}

/** Whether this is the only run of a job, whose slots can still become more. */
function isOpenEnded(service: Service, run: JobRun): boolean {
  return !isScheduled(service) && latestRun(service) === run;
}

/** Why the run can't become complete any more. */
function failureOf(
  { service, now }: Look,
  run: JobRun,
  slots: readonly Slot[],
): string | undefined {
  const spec = specOf(service);
  const failed = slots
    .flatMap((slot) => slot.ended.filter((task) => isFailure(task.state)).slice(0, 1))
    .toSorted((a, b) => b.since - a.since)[0];
  const last = failed === undefined || failed.message === "" ? "" : `: ${failed.message}`;
  const retries = spec.job?.retries;
  const failures = slots.reduce((sum, slot) => sum + failuresIn(service, slot), 0);
  if (retries !== undefined && failures > retries) {
    return `${plural(failures, "task")} failed, and it may have ${retries}${last}`;
  }
  for (const slot of slots) {
    const [latest] = slot.ended;
    const isLast = tasksIn(slot).every((task) => isTerminal(task.state));
    if (latest === undefined || !isLast || !isCurrent(service, latest)) continue;
    const decision = decideRestart(latest, restartOf(spec));
    if (decision.type !== "giveUp") continue;
    return `task ${slot.slot} failed for good, ${decision.reason}: ${latest.message}`;
  }
  const end = endOf(service, run);
  if (end === undefined || end > now) return undefined;
  return `it was not done within ${formatDuration(end - run.startedAt)}${last}`;
}

/** When the run has to be over, in ms since 1970. */
function endOf(service: Service, run: JobRun): number | undefined {
  const deadlineMs = specOf(service).job?.deadlineMs;
  return isOver(run) || deadlineMs === undefined ? undefined : run.startedAt + deadlineMs;
}

/** The number that is part of the run's slots. */
function runNumber(service: Service, run: JobRun): number | undefined {
  return isScheduled(service) ? run.run : undefined;
}

/** The slots of a run: those that are wanted, and those that did their work. */
function namesIn({ view, service, slots }: Places, run: JobRun, runs: JobRuns): string[] {
  const number = runNumber(service, run);
  const own = [...slots.values()].filter((slot) => runOfSlot(slot.slot) === number);
  if (number !== undefined && isOver(run)) {
    return isKept(service, run, runs) ? own.map((slot) => slot.slot) : [];
  }
  // Runs of a job without a schedule have the same slots, and the latest one holds them.
  if (number === undefined && runs.list[0]?.run !== run.run) return [];
  const done = isGlobal(specOf(service))
    ? own.filter((slot) => doneIn(service, slot) !== undefined && isNodeThere(view, slot))
    : [];
  return [...new Set([...wantedSlots(view, service, number), ...done.map((slot) => slot.slot)])];
}

/** Whether the tasks of a run that is over are kept for people to look at. */
function isKept(service: Service, run: JobRun, runs: JobRuns): boolean {
  const most = specOf(service).schedule?.history ?? 0;
  return runs.list
    .filter(isOver)
    .slice(0, most)
    .some((kept) => kept.run === run.run);
}

function isNodeThere(view: View, { slot }: Slot): boolean {
  const base = baseOfSlot(slot);
  return [...view.nodes.keys()].some((id) => id === base);
}

/** The task that did the slot's work. */
function doneIn(service: Service, slot: Slot): Task | undefined {
  return slot.ended.find((task) => task.state === "complete" && isCurrent(service, task));
}

/** Tasks of the slot that failed in a row, up to now. */
function failuresIn(service: Service, slot: Slot): number {
  const newest = tasksIn(slot).reduce<Task | undefined>(
    (latest, task) => (latest === undefined || task.attempt > latest.attempt ? task : latest),
    undefined,
  );
  if (newest === undefined || !isCurrent(service, newest)) return 0;
  return newest.failures + (isFailure(newest.state) && newest.state !== "lost" ? 1 : 0);
}

/** Whether new tasks wait for the end of those of runs that are over. */
function mustWait({ view, service, slots }: Look, runs: JobRuns): boolean {
  if (specOf(service).schedule?.overlap === "allow") return false;
  const over = new Set(runs.list.filter(isOver).map(({ run }) => run));
  return [...slots.values()].some((slot) => {
    const run = runOfSlot(slot.slot);
    if (run === undefined || !over.has(run)) return false;
    return tasksIn(slot).some((task) => !isTerminal(task.state) && !isOutOfReach(view, task));
  });
}

/** The steps in the slots of one run. */
function workOn(
  look: Look,
  run: JobRun,
  names: readonly string[],
  how: { isHeld: boolean; waitsFor: string | undefined; wake: (at: number) => void },
): Action[] {
  const { view, service, now, random } = look;
  const actions: Action[] = [];
  const slots = names.map((name) => look.slots.get(name) ?? emptySlot(look.service, name));
  const wanted = new Set(wantedSlots(view, service, runNumber(service, run)));
  const isDone = (slot: Slot) => doneIn(service, slot) !== undefined;
  const limit = specOf(service).job?.parallelism ?? Number.POSITIVE_INFINITY;
  let busy = slots.filter((slot) => !isDone(slot) && isBusy(view, slot)).length;
  for (const slot of slots) {
    actions.push(...giveUpAbandoned(view, slot), ...trimJob(look, slot));
    if (isOver(run) || isDone(slot) || !wanted.has(slot.slot)) {
      const reason = reasonToEnd(run);
      actions.push(...liveIn(slot).map((task) => stop(task, reason)));
      continue;
    }
    actions.push(...slot.outdated.map((task) => stop(task, reasonToGo(look, run, task))));
    const surplus = surplusOf(view, service, slot, now);
    if (surplus !== undefined && surplus.at > now) how.wake(surplus.at);
    else if (surplus !== undefined) actions.push(...stopSurplus(view, surplus));
    const start = nextAttempt(view, service, slot, now);
    if (start === undefined || how.isHeld) continue;
    if (!isBusy(view, slot) && busy >= limit) continue;
    if (start.at > now) how.wake(start.at);
    else {
      if (!isBusy(view, slot)) busy += 1;
      const begin = { now, random, waitsFor: how.waitsFor, desired: "running" } as const;
      actions.push(...fillSlot(service, slot, { ...begin, failures: start.failures }));
    }
  }
  return actions;
}

/** Whether somebody is at work in the slot; a node that is down must not hold back all others. */
function isBusy(view: View, slot: Slot): boolean {
  return tasksIn(slot).some((task) => !isTerminal(task.state) && !isOutOfReach(view, task));
}

function liveIn(slot: Slot): Task[] {
  return [...slot.current, ...slot.outdated, ...slot.away].filter(isLive);
}

function stop(task: Task, reason: string): Action {
  return { type: "stopTask", taskId: task.id, reason };
}

function reasonToEnd(run: JobRun): string {
  if (run.result === "failed") return `the job failed: ${run.message}`.slice(0, 1000);
  return run.result === "replaced" ? "replaced by another run" : "its work is done";
}

function reasonToGo({ view, service }: Look, run: JobRun, task: Task): string {
  return reasonToLeave(view, service, task) ?? `replaced by run ${run.run}`;
}

/** What a slot keeps: the task that did its work, and the latest others. Older runs go. */
function trimJob({ view, service }: Look, slot: Slot): Action[] {
  const done = doneIn(service, slot);
  const visible = slot.ended.filter(
    (task) => task !== done && task.desired !== "removed" && isCurrent(service, task),
  );
  const kept = new Set([done, ...visible.slice(0, HISTORY_PER_SLOT)]);
  return slot.ended.filter((task) => !kept.has(task)).flatMap((task) => letGo(view, task));
}

/** Runs that are not over, and as many finished ones as are to be kept; one at least. */
function withoutOldest(service: Service, runs: JobRuns): JobRuns {
  const most = specOf(service).schedule?.history ?? 0;
  let finished = 0;
  const list = runs.list.filter((run) => !isOver(run) || finished++ < Math.max(1, most));
  return list.length === runs.list.length ? runs : { ...runs, list };
}

/** The write that keeps what was decided of the runs, where it is new. */
function remember(look: Look, runs: JobRuns, kept: ReadonlySet<string>): Action[] {
  const { view, service, slots } = look;
  const homes = homesOf(view, service, slots.values(), kept);
  const isNews = homes !== undefined && homes !== service.homes;
  if (!isNews && equalJson(runs, service.runs)) return [];
  const next = { ...service, runs, ...(isNews ? { homes } : {}) };
  return [{ type: "updateService", service: next }];
}
