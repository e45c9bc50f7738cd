import { canMove } from "../../model/home.ts";
import { isUnderWay } from "../../model/rollout.ts";
import { policyInForce, restartOf, specOf, type Service } from "../../model/service.ts";
import { isStaged, readySince } from "../../model/task.ts";
import { downNodeOf, isServing } from "../../model/serving.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { replaceAt, waitsForNode } from "./disconnect.ts";
import { awayAtOnce, drainDeadlineOf, paceOf } from "./drain.ts";
import { isOfSlot } from "./held.ts";
import { reasonToLeave } from "./leave.ts";
import { decideRestart, dueAt } from "./restart.ts";
import { keeperOf, tasksIn, type Slot } from "./slot.ts";

/** What moving slots from an older template to the current one asks for now. */
export interface Replacements {
  /** Outdated tasks that are to end. */
  stop: Task[];
  /** Slots that get a current task beside the outdated one; a staged one does not start yet. */
  start: { slot: Slot; failures: number; desired: "prepared" | "running" }[];
  /** Look again at this time, in ms since 1970. */
  wakeAt?: number;
}

/** What a look at one service goes by. */
interface Look {
  view: View;
  service: Service;
  /** Milliseconds since 1970. */
  now: number;
}

/**
 * Replaces outdated tasks slot by slot, at most `parallelism` slots at once. An outdated task that
 * is not ready serves nobody and goes at once; a ready one goes when its slot's turn comes, before
 * its successor (stop-first) or after the successor is ready (start-first). One that is to leave
 * its node and can't go on elsewhere goes at once as well, unless its service asks for turns there.
 * @param now milliseconds since 1970
 */
export function replacementsOf(
  view: View,
  service: Service,
  slots: readonly Slot[],
  now: number,
): Replacements {
  const look: Look = { view, service, now };
  const result: Replacements = { stop: [], start: [] };
  if (slots.every((slot) => slot.outdated.length === 0)) return result;
  const passed = passedOver(service);
  /** Slots in which nobody serves, and those in which a turn is under way beside one that does. */
  let [idle, underWay] = [0, 0];
  const waiting: Handover[] = [];
  const handovers: Handover[] = [];
  for (const slot of slots) {
    // A third revision can find two outdated tasks in a slot: one at most goes on serving.
    const serving = slot.outdated.find(
      (task) => isServing(view, task) && waitsForTurn(look, task) && mayStay(look, task, result),
    );
    const rest = slot.outdated.filter((task) => task !== serving);
    result.stop.push(...rest.filter((task) => !isDeferred(look, task)));
    // What waits for its turn does not hold up the slots that may mend it.
    const turn = passed.has(slot.slot) || slot.held !== undefined ? 0 : 1;
    if (serving === undefined) idle += isSettled(look, slot, result) ? 0 : turn;
    else if (isTied(look, serving)) handovers.push({ slot, serving });
    else if (isWaiting(service, slot)) waiting.push({ slot, serving });
    else {
      underWay += turn;
      if (goOn(look, slot, serving, result)) handovers.push({ slot, serving });
    }
  }
  result.stop.push(...handOver(look, handovers, { idle, unserved: unservedIn(look, slots) }));
  let busy = idle + underWay;
  for (const { slot, serving } of waiting) {
    const pace = paceOf(view, service, slot, serving);
    if (pace.parallelism > 0 && busy >= pace.parallelism) continue;
    takeTurn(look, { slot, serving, failures: 0 }, result);
    busy += 1;
  }
  return result;
}

/** A slot and the outdated task that serves there. */
interface Handover {
  slot: Slot;
  serving: Task;
}

/** Those of the tasks that are ready to make way whose turn it is. */
function handOver(
  { view, service }: Look,
  handovers: readonly Handover[],
  { idle, unserved }: { idle: number; unserved: number },
): Task[] {
  let taken = 0;
  return handovers.flatMap(({ slot, serving }) => {
    const asked = awayAtOnce(view, service, serving);
    const most = asked ?? paceOf(view, service, slot, serving).parallelism;
    const away = asked === undefined ? idle : unserved;
    if (most > 0 && away + taken >= most) return [];
    taken += 1;
    return [serving];
  });
}

/** Slots in which nobody serves, though somebody should. */
function unservedIn({ view, service }: Look, slots: readonly Slot[]): number {
  const serves = (task: Task) => isServing(view, task);
  return slots.filter((slot) => !tasksIn(slot).some(serves) && !isDone(service, slot)).length;
}

/** Whether a task has a turn: one that can't go on elsewhere has one where that is asked for. */
function waitsForTurn(look: Look, task: Task): boolean {
  return !isTied(look, task) || awayAtOnce(look.view, look.service, task) !== undefined;
}

/** Whether a task may wait for its turn: on a drained node only until the deadline. */
function mayStay({ view, now }: Look, task: Task, result: Replacements): boolean {
  const deadline = drainDeadlineOf(view, task);
  if (deadline === undefined) return true;
  if (deadline > now) wake(result, deadline);
  return deadline > now;
}

/** Whether nobody who serves is to make way for now, however far its successor is. */
function isStopped({ rollout }: Service): boolean {
  return rollout?.state === "paused" || rollout?.state === "waiting-for-window";
}

/** Slots that failed and that the rollout goes on in spite of: they hold up nobody. */
function passedOver({ rollout }: Service): ReadonlySet<string> {
  return new Set(isUnderWay(rollout) ? rollout.failed : []);
}

/** Whether a task that can't move waits for its node: it is replaced when that is back. */
function isDeferred({ view, service }: Look, task: Task): boolean {
  return !canMove(service) && downNodeOf(view, task) !== undefined;
}

/** While successors may not start, what serves goes on: on a drained node until its deadline. */
export function holdBack(replacements: Replacements, view: View, now: number): void {
  const isOverdue = (task: Task) => (drainDeadlineOf(view, task) ?? Infinity) <= now;
  replacements.start = [];
  replacements.stop = replacements.stop.filter((task) => !isServing(view, task) || isOverdue(task));
}

/** Whether the task is to leave the only node that can hold it. */
function isTied({ view, service }: Look, task: Task): boolean {
  return !canMove(service) && reasonToLeave(view, service, task) !== undefined;
}

/**
 * Begins to replace the task that serves in a slot. Also where it ends before its successor starts,
 * the successor is there by then, its image pulled and its container made.
 */
function takeTurn(
  look: Look,
  { slot, serving, failures }: Handover & { failures: number },
  result: Replacements,
): void {
  const desired = isStopFirst(look, slot, serving) ? "prepared" : "running";
  result.start.push({ slot, failures, desired });
}

function isStopFirst({ view, service }: Look, slot: Slot, serving: Task): boolean {
  return paceOf(view, service, slot, serving).order === "stop-first";
}

/** Whether the slot's turn has not come yet: no successor was ever in it. */
function isWaiting(service: Service, slot: Slot): boolean {
  const hasSuccessor = slot.current.length > 0 || slot.away.length > 0;
  return !hasSuccessor && afterSuccessor(service, slot) === undefined;
}

/**
 * The next step in a slot where a ready outdated task has, or had, a successor beside it. Answers
 * whether the task can hand its slot over now, and nobody serves there for a moment.
 */
function goOn(look: Look, slot: Slot, serving: Task, result: Replacements): boolean {
  const { view, service, now } = look;
  const successor = keeperOf(view, service, slot.current);
  if (successor !== undefined) {
    if (isServing(view, successor)) result.stop.push(serving);
    else if (isStaged(successor)) {
      if (isStopFirst(look, slot, serving)) return isReadyToTakeOver(look, successor, serving);
      // One that starts first relies on nothing that the one before it takes.
      result.stop.push(successor);
    }
    return false;
  }
  const due = slot.away.length > 0 ? replaceAt(view, service, slot, now) : 0;
  const next = afterSuccessor(service, slot);
  // A successor that did its work took the slot over, and nothing runs there any more.
  if (next?.type === "done") result.stop.push(serving);
  if (due === undefined || (next !== undefined && next.type !== "retry")) return false;
  const at = Math.max(due, next === undefined ? 0 : dueAt(next, now));
  if (at > now) wake(result, at);
  else takeTurn(look, { slot, serving, failures: next?.failures ?? 0 }, result);
  return false;
}

/**
 * Whether a staged task has all but its slot. One that finds no node takes nobody's place, but for
 * that of a task that is to leave its node in any case.
 */
function isReadyToTakeOver({ view, service }: Look, task: Task, serving: Task): boolean {
  const mustLeave = reasonToLeave(view, service, serving) !== undefined;
  const findsNoNode = task.state === "pending" && task.message !== "";
  if (mustLeave && findsNoNode) return true;
  return task.state === "prepared" && (mustLeave || !isStopped(service));
}

/**
 * The staged task of a slot that nobody else holds any more, and when it is to start; of several
 * the one that stays. It may count on the room of the one before it, so it waits for its end. One
 * on a node that is down is waited for as long as ever.
 */
export function releasedIn(
  view: View,
  service: Service,
  slot: Slot,
  now: number,
): { task: Task; at: number } | undefined {
  const task = keeperOf(view, service, slot.current);
  if (task === undefined || !slot.current.every(isStaged)) return undefined;
  if (slot.outdated.length > 0 || slot.stopping.length > 0) return undefined;
  const at = slot.away.length === 0 ? 0 : replaceAt(view, service, slot, now);
  return at === undefined ? undefined : { task, at };
}

/** Whether a slot without a ready outdated task leaves its turn to the next one. */
function isSettled(look: Look, slot: Slot, result: Replacements): boolean {
  const { view, service, now } = look;
  if (slot.outdated.length > 0) return slot.outdated.every((task) => isDeferred(look, task));
  if (waitsForNode(view, service, slot)) return true;
  const successor = keeperOf(view, service, slot.current);
  if (successor === undefined) return isDone(service, slot);
  if (!isServing(view, successor)) return waitsForRoom(service, slot, successor);
  const readyAt = readySince(successor) ?? successor.since;
  const settledAt = readyAt + policyInForce(service).delayMs;
  if (settledAt <= now || readyAt > now) return true;
  wake(result, settledAt);
  return false;
}

function wake(result: Replacements, at: number): void {
  result.wakeAt = Math.min(result.wakeAt ?? at, at);
}

/**
 * Whether a slot that is new in this revision waits for a place. The tasks that are still to be
 * replaced may hold that place, so it must not hold back their replacement.
 */
function waitsForRoom(service: Service, slot: Slot, task: Task): boolean {
  const replaced = [...slot.stopping, ...slot.ended].some(
    (before) => !isOfSlot(service, slot.held, before),
  );
  return task.state === "pending" && task.failures === 0 && !replaced;
}

/** Whether an empty slot is to stay empty because its work is done. */
function isDone(service: Service, slot: Slot): boolean {
  return slot.stopping.length === 0 && afterSuccessor(service, slot)?.type === "done";
}

/**
 * What follows on the slot's latest task, where that is a successor which ended already; undefined
 * if it is another one.
 */
function afterSuccessor(service: Service, slot: Slot) {
  const others = [...slot.outdated, ...slot.away, ...slot.stopping];
  const newest = others.reduce((latest, task) => Math.max(latest, task.attempt), 0);
  const [latest] = slot.ended;
  // What an agent made while it was alone has the attempt of the task that ended before it.
  if (latest === undefined || latest.attempt <= newest) return undefined;
  // One of an older revision of the same template is none that was made beside these.
  const isEarlier = slot.held === undefined && latest.revision < service.templateRevision;
  if (isEarlier || !isOfSlot(service, slot.held, latest)) return undefined;
  return decideRestart(latest, restartOf(specOf(service)));
}
