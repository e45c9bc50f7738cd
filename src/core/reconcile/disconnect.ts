import { canMove, homeOf } from "../../model/home.ts";
import { acceptsTasks } from "../../model/node.ts";
import { isGlobal, specOf, tieOf, type Service, type ServiceSpec } from "../../model/service.ts";
import { baseOfSlot, runOfSlot } from "../../model/slot-name.ts";
import { isOutOfReach } from "../../model/serving.ts";
import { volumesOfTask } from "../../model/task-volumes.ts";
import { isLive, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { keeperOf, tasksIn, type Slot } from "./slot.ts";

/**
 * For how long a node that came back must have been there before one of two tasks of a slot is
 * told to end: until then its agent has said what became of the tasks, and flapping costs nothing.
 */
export const SETTLE_MS = 5000;

/**
 * When a slot whose tasks are all on nodes that are down gets another one, in ms since 1970;
 * undefined when its tasks can't move.
 */
export function replaceAt(
  view: View,
  service: Service,
  slot: Slot,
  now: number,
): number | undefined {
  if (!canMove(service)) return undefined;
  const { replaceAfterMs } = specOf(service).disconnect;
  const due = slot.away.map((task) => passed(nodeSince(view, task), replaceAfterMs, now));
  return Math.max(0, ...due);
}

/** Of several tasks that are away one can come back as it was; the others have been replaced. */
export function replacedAway({ away }: Slot): Task[] {
  return away.slice(1);
}

/**
 * Whether nothing can be done in the slot before its node is there: it leaves its turn in an update
 * to the next one.
 */
export function waitsForNode(view: View, service: Service, slot: Slot): boolean {
  if (canMove(service)) return false;
  const home = homeOf(view, service, slot.slot);
  return slot.away.length > 0 || (home !== undefined && !acceptsTasks(home));
}

/**
 * Where tasks that can't move have been started, by their slot, with what was known before; or the
 * very same value when nothing is new. One that was given up on a node out of reach may have been
 * started there: where nothing else is known of its slot, that node is its home as well.
 * @param kept the slots that are wanted: others are given up
 */
export function homesOf(
  view: View,
  service: Service,
  slots: Iterable<Slot>,
  kept: ReadonlySet<string>,
): Service["homes"] {
  const spec = specOf(service);
  if (isGlobal(spec) || tieOf(spec) === undefined) return service.homes;
  const found: NonNullable<Service["homes"]> = {};
  // Runs of a scheduled job have slots of their own, and what ties them is the same.
  for (const [base, all] of Map.groupBy(slots, (slot) => baseOfSlot(slot.slot))) {
    const tasks = all
      .flatMap(tasksIn)
      .filter((task) => !hasMovedFrom(view, spec, task))
      .toSorted((a, b) => runOf(b) - runOf(a) || b.attempt - a.attempt);
    const known = service.homes?.[base];
    const started =
      tasks.find((task) => task.startedAt !== undefined || task.state === "starting") ??
      (known === undefined ? tasks.find((task) => mayHaveStarted(view, task, kept)) : undefined);
    if (started?.nodeId !== undefined && known !== started.nodeId) found[base] = started.nodeId;
  }
  return Object.keys(found).length === 0 ? service.homes : { ...service.homes, ...found };
}

/** Whether nobody can say any more if the task was started: it is lost, or about to be. */
function mayHaveStarted(view: View, task: Task, kept: ReadonlySet<string>): boolean {
  if (task.nodeId === undefined) return false;
  if (isTerminal(task.state)) return task.state === "lost";
  return isOutOfReach(view, task) && !(isLive(task) && kept.has(task.slot));
}

/** Whether the volume that ties the task is on another node by now, for which it ends. */
function hasMovedFrom(view: View, spec: ServiceSpec, task: Task): boolean {
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  if (node?.volumesMoved === undefined) return false;
  const moved = new Set(node.volumesMoved.map(({ name }) => name));
  return volumesOfTask(task, spec, node).some(({ volume }) => moved.has(volume));
}

function runOf(task: Task): number {
  return runOfSlot(task.slot) ?? 0;
}

/** What is to be done about several tasks in a slot, of which one stays. */
export interface Surplus {
  keeper: Task;
  /** The others, which are to end at `at`. */
  extra: Task[];
  /** Milliseconds since 1970. */
  at: number;
}

/** The tasks that a slot has too many, as after the return of a node. */
export function surplusOf(
  view: View,
  service: Service,
  slot: Slot,
  now: number,
): Surplus | undefined {
  const keeper = keeperOf(view, service, slot.current);
  if (keeper === undefined || slot.current.length < 2) return undefined;
  const extra = slot.current.filter((task) => task !== keeper);
  const newest = slot.current.reduce((latest, task) => Math.max(latest, task.createdAt), 0);
  const returns = slot.current.map((task) => nodeSince(view, task)).filter((at) => at > newest);
  const at = Math.max(0, ...returns.map((since) => passed(since, SETTLE_MS, now)));
  return { keeper, extra, at };
}

/** When a wait is over. One that begins in the future tells that the clock was set back: now. */
function passed(since: number, waitMs: number, now: number): number {
  return since > now ? now : since + waitMs;
}

/** Since when the health of the task's node is what it is. */
function nodeSince(view: View, task: Task): number {
  return (task.nodeId && view.nodes.get(task.nodeId)?.since) ?? 0;
}
