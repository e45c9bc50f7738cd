import { sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { canMove, formatWait, homeOf } from "../../model/home.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import type { ServiceSpec } from "../../model/service.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { candidateOf } from "./candidate.ts";
import { ClusterLoad, type LoadedNode } from "./cluster-load.ts";
import { refusalOf } from "./filters.ts";
import { groupsOf, SlotNodes, type TaskGroup } from "./group.ts";
import { emptyLoad, loadOf } from "./load.ts";
import { Picker, type Knowledge, type Run } from "./pick.ts";

export interface Placement {
  taskId: TaskId;
  nodeId: NodeId;
}

/** A task for which there is no node now, and why: one reason for people. */
export interface Unplaced {
  taskId: TaskId;
  message: string;
}

export interface Schedule {
  placements: Placement[];
  unplaced: Unplaced[];
}

export interface ScheduleOptions extends Knowledge {
  /** The loads of the view, where somebody keeps them; they are as before afterwards. */
  load?: ClusterLoad;
}

/**
 * Finds a node for each of `tasks`, which are pending, one after the other, so that each sees what
 * the ones before it took. The same view, tasks and seed give the same answer.
 */
export function schedule(
  view: View,
  tasks: readonly Task[],
  random: Random,
  { load = ClusterLoad.of(view), ...knowledge }: ScheduleOptions = {},
): Schedule {
  const placing = new Placing({ view, load, knowledge }, random);
  try {
    for (const group of groupsOf(view, tasks)) placing.placeGroup(group);
    return placing.result;
  } finally {
    placing.undo();
  }
}

/** One run over all groups. */
class Placing {
  readonly result: Schedule = { placements: [], unplaced: [] };
  readonly #run: Run;
  readonly #random: Random;
  readonly #slots = new SlotNodes();
  /** What the loads count beside the view, until it is known whether that is committed. */
  readonly #added: { at: LoadedNode; task: Task; spec: ServiceSpec }[] = [];

  constructor(run: Run, random: Random) {
    this.#run = run;
    this.#random = random;
  }

  placeGroup(group: TaskGroup): void {
    const { service, tasks } = group;
    if (canMove(service)) return this.#placeAnywhere(group, tasks);
    const { view } = this.#run;
    const free = tasks.filter((task) => homeOf(view, service, task.slot) === undefined);
    if (free.length > 0) this.#placeAnywhere(group, free);
    for (const task of tasks) {
      const home = homeOf(view, service, task.slot);
      if (home !== undefined) this.#placeAtHome(group, task, home);
    }
  }

  /** Takes back what the loads were told of this run. */
  undo(): void {
    for (const { at, task, spec } of this.#added) this.#run.load.remove(at, task, spec);
    this.#added.length = 0;
  }

  #placeAnywhere(group: TaskGroup, tasks: readonly Task[]): void {
    const { service, spec, first } = group;
    const draws = this.#random.split(`scheduler/${service.id}/${first.slot}`);
    const picker = new Picker(this.#run, group, Math.floor(draws.next() * 0x1_0000_0000));
    let message: string | undefined;
    for (const task of tasks) {
      const slotNodes = this.#slots.of(this.#run.view, group, task.slot);
      const at = picker.pick({ task, spec, slotNodes, home: undefined });
      if (at === undefined) {
        // Whoever finds no node after another one is refused for the same reasons.
        if (message === undefined || slotNodes.length > 0) {
          message = formatRefusals(picker.refusals());
        }
        this.result.unplaced.push({ taskId: task.id, message });
        continue;
      }
      this.#place(group, task, at);
      picker.noteTask(at);
    }
  }

  /** The only node that can hold the task takes it, or it waits. */
  #placeAtHome(group: TaskGroup, task: Task, home: Node): void {
    const { view, load } = this.#run;
    const { service, spec } = group;
    const slotNodes = this.#slots.of(view, group, task.slot);
    const at = load.get(home.id);
    const candidate = { task, spec, slotNodes, home };
    const reason = refusalOf(candidate, home, at?.load ?? emptyLoad());
    if (reason === undefined && at !== undefined) return this.#place(group, task, at);
    const message = formatWait(service, home, reason ?? "is not there");
    this.result.unplaced.push({ taskId: task.id, message });
  }

  #place(group: TaskGroup, task: Task, at: LoadedNode): void {
    const { spec } = group;
    this.#run.load.add(at, task, spec);
    this.#added.push({ at, task, spec });
    this.#slots.add(this.#run.view, group, task.slot, at.id);
    this.result.placements.push({ taskId: task.id, nodeId: at.id });
  }
}

export interface NodeVerdict {
  node: Node;
  /** Undefined where the task could run. */
  reason: string | undefined;
}

/** For each node, whether the task could run there now: what `orchd explain` shows. */
export function explainPlacement(view: View, task: Task): NodeVerdict[] {
  const service = view.services.get(task.serviceId);
  if (service === undefined) return [];
  const candidate = candidateOf(view, service, task);
  return sortedBy(view.nodes.values(), (node) => node.hostname).map((node) => ({
    node,
    reason: refusalOf(candidate, node, loadOf(view, node.id)),
  }));
}

/** `no node fits: each of 2 nodes is drained; 1 node has …`, the most frequent reason first. */
function formatRefusals(refusals: ReadonlyMap<string, number>): string {
  if (refusals.size === 0) return "no node has joined the cluster yet";
  const counted = [...refusals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const reasons = counted.map(
    ([reason, count]) => `${count === 1 ? "1 node" : `each of ${count} nodes`} ${reason}`,
  );
  return `no node fits: ${reasons.join("; ")}`;
}
