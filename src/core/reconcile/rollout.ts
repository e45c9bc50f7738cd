import { sortedBy } from "../../lib/order.ts";
import { plural } from "../../lib/text.ts";
import { canMove } from "../../model/home.ts";
import { letGo, undo } from "../../model/revise.ts";
import { canariesWanted, isUnderWay, UPDATE_DEFAULTS, type Rollout } from "../../model/rollout.ts";
import { specOf, policyInForce, type Service, type ServiceSpec } from "../../model/service.ts";
import { downNodeOf, isServing } from "../../model/serving.ts";
import { isFailure, readySince, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { formatWindow, isOpen } from "../../model/window.ts";
import { waitsForNode } from "./disconnect.ts";
import { decideRestart } from "./restart.ts";
import { lookEveryMs } from "./rollout-patience.ts";
import { emptySlot, slotsOf, tasksIn, type Slot } from "./slot.ts";

/** What a look at a rollout goes by. */
export interface RolloutLook {
  view: View;
  /** Slots that the service wants. */
  wanted: readonly string[];
  /** Milliseconds since 1970. */
  now: number;
  /** For how long nothing got further, by a clock that is never set. */
  stalledMs: number;
}

/** How a rollout goes on. */
export interface RolloutStep {
  /** The service with its rollout, maybe at a new revision; the same object if nothing changes. */
  service: Service;
  /** Look again at this time, in ms since 1970. */
  wakeAt?: number;
}

/**
 * The rollout as it stands after what has become of its tasks: failures counted, canaries chosen,
 * windows looked at, and its end. The plan that follows goes by it. Swarm's rules: a slot fails
 * when its first new task ends before it was ready, or within `monitor` after that; what the
 * restart policy starts later does not count; more than `max_failure_ratio` of the slots end it.
 */
export function stepRollout(service: Service, look: RolloutLook): RolloutStep {
  const { rollout } = service;
  if (!isUnderWay(rollout) || service.removing) return { service };
  const slots = readSlots(service, look);
  const failed = [...rollout.failed, ...newFailures(service, rollout, slots)].sort();
  const counted = failed.length === rollout.failed.length ? rollout : { ...rollout, failed };
  const step: RolloutStep = { service };
  const next = proceed({ ...look, service, rollout: counted, slots, step });
  if (typeof next === "object" && "revisions" in next) step.service = next;
  else if (next !== rollout) step.service = { ...service, rollout: next };
  return step;
}

interface Progress extends RolloutLook {
  service: Service;
  rollout: Rollout;
  slots: readonly Slot[];
  step: RolloutStep;
}

function readSlots(service: Service, { view, wanted }: RolloutLook): Slot[] {
  const slots = slotsOf(view, service);
  return wanted.map((name) => slots.get(name) ?? emptySlot(service, name));
}

/** The rollout as it is now, or the service with one revision more when it goes back. */
function proceed(at: Progress): Rollout | Service {
  const { rollout, service } = at;
  const end = endOf(at);
  if (end !== undefined) return end;
  if (rollout.state === "paused") return rollout;
  const trouble = troubleOf(at);
  if (trouble !== undefined) return giveUp(at, trouble);
  if (rollout.back !== undefined) return rollout;
  if (isInCanaries(at)) return promote(at);
  // The file may have dropped its canaries meanwhile.
  const next = rollout.state === "canary" ? letGo(rollout, specOf(service)) : rollout;
  return holdToWindows(service, next, at);
}

/** Whether the first slots are not found good yet. */
function isInCanaries({ service, rollout }: Pick<Progress, "service" | "rollout">): boolean {
  const { canary } = specOf(service).rollout ?? {};
  return canary !== undefined && rollout.promoted !== true && rollout.back === undefined;
}

/** Slots whose first new task has failed, of those that have not been counted yet. */
function newFailures(service: Service, rollout: Rollout, slots: readonly Slot[]): string[] {
  if (rollout.state === "paused") return [];
  const known = new Set([...rollout.failed, ...rollout.forgiven]);
  return slots
    .filter((slot) => !known.has(slot.slot) && failureIn(service, rollout, slot) !== undefined)
    .map((slot) => slot.slot);
}

/** The first new task of a slot, if it failed. What failed before it grows with each restart. */
function failureIn(service: Service, rollout: Rollout, slot: Slot): Task | undefined {
  return slot.ended.find((task) => {
    if (task.revision < rollout.to || task.failures > 0) return false;
    const endsWell = task.state === "complete" && specOf(service).restart.condition !== "any";
    if (endsWell || task.state === "lost") return false;
    if (!isFailure(task.state) && task.state !== "complete") return false;
    const readyAt = readySince(task);
    const endedAt = task.finishedAt ?? task.since;
    return readyAt === undefined || endedAt - readyAt <= monitorOf(service);
  });
}

function monitorOf(service: Service): number {
  return policyInForce(service).monitorMs ?? UPDATE_DEFAULTS.monitorMs;
}

/** Why the rollout can't go on as it does; undefined when it can. */
function troubleOf(at: Progress): string | undefined {
  const { service, slots, stalledMs, step } = at;
  const failures = tooManyFailures(at);
  if (failures !== undefined) return failures;
  const policy = policyInForce(service);
  const deadlineMs = policy.progressDeadlineMs ?? UPDATE_DEFAULTS.progressDeadlineMs;
  if (deadlineMs === 0 || !isAtWork(at)) return undefined;
  if (stalledMs >= deadlineMs) {
    const waiting = slots.find((slot) => slot.current.some((task) => task.message !== ""));
    const why = waiting?.current.find((task) => task.message !== "")?.message;
    const minutes = Math.round(deadlineMs / 6000) / 10;
    const told = why === undefined ? "" : `: ${why}`;
    return `no slot got further for ${plural(minutes, "minute")}${told}`;
  }
  wake(step, at.now + Math.min(deadlineMs - stalledMs, lookEveryMs(deadlineMs)));
  return undefined;
}

function tooManyFailures({ service, rollout, slots }: Progress): string | undefined {
  const policy = policyInForce(service);
  const ratio = policy.maxFailureRatio ?? UPDATE_DEFAULTS.maxFailureRatio;
  const many = rollout.failed.length;
  if (policy.failureAction === "continue" || many === 0 || many <= ratio * rollout.slots) {
    return undefined;
  }
  return `${many} of ${plural(rollout.slots, "slot")} failed${lastWords(service, rollout, slots)}`;
}

/** Whether somebody is at it, so that standing still means that something is wrong. */
function isAtWork({ view, service, rollout, slots }: Progress): boolean {
  if (rollout.state !== "waiting-for-window" && rollout.state !== "canary") return true;
  return slots.some((slot) => slot.held === undefined && !isThere(view, service, slot));
}

function lastWords(service: Service, rollout: Rollout, slots: readonly Slot[]): string {
  const failures = slots.flatMap((slot) => failureIn(service, rollout, slot) ?? []);
  const [latest] = sortedBy(failures, (task) => String(1e15 - task.since));
  return latest === undefined || latest.message === "" ? "" : `: ${latest.message}`;
}

/** What the service's failure action makes of a rollout that can't go on. */
function giveUp(at: Progress, trouble: string): Rollout | Service {
  const { service, rollout, view, now, slots } = at;
  const action = policyInForce(service).failureAction ?? UPDATE_DEFAULTS.failureAction;
  const { from } = rollout;
  const target = service.revisions.find(({ revision }) => revision === from);
  if (action === "rollback" && rollout.back === undefined && target !== undefined) {
    const why = `revision ${rollout.to} was undone: ${trouble}`;
    return undo(service, target, { by: "failure", why, now, tasks: view.tasksOf(service.id) });
  }
  if (action === "continue") return passOver(at, slots);
  return { ...rollout, state: "paused", message: trouble };
}

/** Slots that stand still count as failed, and leave their turn to the others. */
function passOver({ rollout, view, service }: Progress, slots: readonly Slot[]): Rollout {
  const known = new Set(rollout.failed);
  const stuck = slots.filter((slot) => {
    const hasBegun = tasksIn(slot).some((task) => task.revision >= rollout.to);
    return hasBegun && !isThere(view, service, slot) && !known.has(slot.slot);
  });
  if (stuck.length === 0) return { ...rollout, state: "paused", message: NOTHING_MOVES };
  return { ...rollout, failed: [...rollout.failed, ...stuck.map(({ slot }) => slot)].sort() };
}

const NOTHING_MOVES = "no slot got further, and none could be passed over";

/** The canaries that are chosen, and what follows when all of them are ready. */
function promote(at: Progress): Rollout {
  const { service, rollout, slots, view, now, step } = at;
  const rules = specOf(service).rollout;
  if (rollout.canaries === undefined) {
    const reachable = slots.filter((slot) => !isDeferred(view, service, slot));
    const many = canariesWanted(rules, slots.length);
    const canaries = reachable.slice(0, many).map(({ slot }) => slot);
    return holdToWindows(service, { ...rollout, canaries }, at);
  }
  const chosen = new Set(rollout.canaries);
  const canaries = slots.filter((slot) => chosen.has(slot.slot));
  if (!canaries.every((slot) => isThere(view, service, slot))) {
    return holdToWindows(service, rollout, at);
  }
  if (rules?.promote !== "auto") {
    const many = plural(canaries.length, "canary", "canaries");
    const message = `${many} ready: \`orchd rollout promote\` goes on, \`orchd rollout undo\` back`;
    const isTold = rollout.state === "canary" && rollout.message === message;
    return isTold ? rollout : { ...rollout, state: "canary", message };
  }
  const watchedAt = watchedUntil(service, rollout, canaries, now);
  if (watchedAt > now) {
    wake(step, watchedAt);
    return rollout;
  }
  return holdToWindows(service, promoted(rollout), at);
}

/** The rollout when its canaries are found good. */
export function promoted(rollout: Rollout): Rollout {
  return { ...rollout, state: "running", promoted: true, message: "" };
}

/** Whether slots may be begun now, by the service's windows. */
function holdToWindows(service: Service, rollout: Rollout, at: Progress): Rollout {
  const windows = specOf(service).rollout?.windows;
  const isClosed = windows !== undefined && !windows.some((window) => isOpen(window, at.now));
  if (isClosed) {
    wake(at.step, at.now - (at.now % 60_000) + 60_000);
    const message = `no new slot begins outside ${windows.map(formatWindow).join("; ")}`;
    const isTold = rollout.state === "waiting-for-window" && rollout.message === message;
    return isTold ? rollout : { ...rollout, state: "waiting-for-window", message };
  }
  return rollout.state === "waiting-for-window" ? letGo(rollout, specOf(service)) : rollout;
}

/** The rollout at its end: every slot is there, failed, or waits for its node; and was watched. */
function endOf(at: Progress): Rollout | undefined {
  const { view, service, rollout, slots, now, step } = at;
  const passed = new Set(rollout.failed);
  const isOver = slots.every((slot) => {
    if (slot.held !== undefined) return false;
    if (isThere(view, service, slot) || isDeferred(view, service, slot)) return true;
    return rollout.state !== "paused" && passed.has(slot.slot) && slot.outdated.length === 0;
  });
  if (!isOver || (slots.length > 0 && isInCanaries(at))) return undefined;
  if (rollout.state !== "paused" && tooManyFailures(at) !== undefined) return undefined;
  const watchedAt = watchedUntil(service, rollout, slots, now);
  if (watchedAt > now) {
    wake(step, watchedAt);
    return rollout;
  }
  const state = rollout.back === undefined ? "completed" : "rolled-back";
  const failures = rollout.failed.length;
  const told = failures === 0 ? "" : `${failures} of ${plural(rollout.slots, "slot")} failed`;
  const message = rollout.back === undefined ? told : rollout.message;
  return { ...rollout, state, finishedAt: now, message };
}

/** Until when what got ready last is watched. A time that lies ahead tells of a clock set back. */
function watchedUntil(
  service: Service,
  rollout: Rollout,
  slots: readonly Slot[],
  now: number,
): number {
  const times = slots.flatMap((slot) =>
    slot.current.flatMap((task) => {
      const at = task.revision >= rollout.to ? readySince(task) : undefined;
      return at === undefined || at > now ? [] : [at];
    }),
  );
  return Math.max(...times) + monitorOf(service);
}

/** Whether a slot holds what it should: one task that serves, or one that did its work. */
export function isThere(view: View, service: Service, slot: Slot): boolean {
  if (slot.held !== undefined || slot.outdated.length > 0) return false;
  if (slot.current.some((task) => isServing(view, task))) return true;
  const [latest] = slot.ended;
  if (slot.current.length + slot.away.length > 0 || latest === undefined) return false;
  return !isPast(service, latest) && decideRestart(latest, restartOf(service)).type === "done";
}

function restartOf(service: Service): ServiceSpec["restart"] {
  return specOf(service).restart;
}

function isPast(service: Service, task: Task): boolean {
  return task.revision < (service.rollout?.to ?? 0);
}

/** Whether a slot waits for its node: it catches up when that is back. */
export function isDeferred(view: View, service: Service, slot: Slot): boolean {
  if (canMove(service)) return false;
  if (waitsForNode(view, service, slot)) return true;
  return slot.outdated.some((task) => downNodeOf(view, task) !== undefined);
}

function wake(step: RolloutStep, at: number): void {
  step.wakeAt = Math.min(step.wakeAt ?? at, at);
}
