import { sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { canMove, formatWait, homeOf } from "../../model/home.ts";
import type { NodeId, ServiceId, TaskId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { priorityOf, type ServiceSpec } from "../../model/service.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { bondIndexOf, bondsOf, followsOthers, type Bond, type BondIndex } from "./affinity.ts";
import { candidateOf, type Candidate } from "./candidate.ts";
import { Claims } from "./claims.ts";
import { ClusterLoad, type LoadedNode } from "./cluster-load.ts";
import { refusalOf } from "./filters.ts";
import { groupsOf, SlotNodes, type TaskGroup } from "./group.ts";
import { emptyLoad, loadOf } from "./load.ts";
import { meritsOf } from "./merits.ts";
import { Picker, type Knowledge, type Run } from "./pick.ts";
import { guestOf, type Guest } from "./room.ts";
import { roomGivenTo } from "./staged.ts";

export interface Placement {
  taskId: TaskId;
  nodeId: NodeId;
  /** What it gets of the node's devices; absent where it asks for none. */
  devices?: string[];
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
  const groups = groupsOf(view, tasks);
  const placing = new Placing({ view, load, knowledge }, random, groups);
  try {
    for (const group of groups) placing.placeGroup(group);
    placing.placeFollowers();
    return placing.result;
  } finally {
    placing.undo();
  }
}

const NO_BONDS: readonly Bond[] = [];

/** One run over all groups. */
class Placing {
  readonly result: Schedule = { placements: [], unplaced: [] };
  readonly #run: Run;
  readonly #random: Random;
  readonly #slots = new SlotNodes();
  readonly #index: BondIndex;
  /** Where this run has put tasks of services that others have rules about, and that have some. */
  readonly #company = new Map<ServiceId, { slot: string; nodeId: NodeId }[]>();
  readonly #claims: Claims;
  /** Those that found no node, and are to be near to others, which may have found theirs later. */
  #followers: { group: TaskGroup; task: Task }[] = [];
  readonly #guests: Guest[] = [];
  /** What the loads count beside the view, until it is known whether that is committed. */
  readonly #added: { at: LoadedNode; task: Task; spec: ServiceSpec }[] = [];
  /** The priority of the last group: whoever is above it is not to lose its room to a lower one. */
  readonly #lowest: number;

  constructor(run: Run, random: Random, groups: readonly TaskGroup[]) {
    const last = groups.at(-1);
    this.#run = run;
    this.#random = random;
    this.#index = bondIndexOf(run.view);
    this.#claims = new Claims(run.view);
    this.#lowest = last === undefined ? 0 : priorityOf(last.service);
  }

  placeGroup(group: TaskGroup): void {
    const { service, tasks } = group;
    this.#holdClaims(priorityOf(service));
    if (canMove(service)) return this.#placeAnywhere(group, tasks);
    const { view } = this.#run;
    const free = tasks.filter((task) => homeOf(view, service, task.slot) === undefined);
    if (free.length > 0) this.#placeAnywhere(group, free);
    for (const task of tasks) {
      const home = homeOf(view, service, task.slot);
      if (home !== undefined) this.#placeAtHome(group, task, home);
    }
  }

  /** Asks again for those that are to be near to others, as long as that finds a node for one. */
  placeFollowers(): void {
    const { placements } = this.result;
    for (let before = 0; this.#followers.length > 0 && placements.length > before;) {
      before = placements.length;
      const followers = this.#followers;
      this.#followers = [];
      const asked = new Set(followers.map(({ task }) => task.id));
      this.result.unplaced = this.result.unplaced.filter(({ taskId }) => !asked.has(taskId));
      for (const { group, task } of followers) this.placeGroup({ ...group, tasks: [task] });
    }
  }

  /** Takes back what the loads were told of this run. */
  undo(): void {
    for (const { at, task, spec } of this.#added) this.#run.load.remove(at, task, spec);
    this.#added.length = 0;
  }

  /** Room that higher priorities wait for counts as taken from here on. */
  #holdClaims(priority: number): void {
    for (const { nodeId, task, spec } of this.#claims.take(priority)) {
      const at = this.#run.load.get(nodeId);
      if (at !== undefined) this.#count(at, task, spec);
    }
  }

  #placeAnywhere(group: TaskGroup, tasks: readonly Task[]): void {
    const { service, first } = group;
    const draws = this.#random.split(`scheduler/${service.id}/${first.slot}`);
    const seed = Math.floor(draws.next() * 0x1_0000_0000);
    let picker: Picker | undefined;
    let message: string | undefined;
    for (const task of tasks) {
      const candidate = this.#candidate(group, task, undefined);
      // Rules about others are judged anew: each task that is placed may be one of these others.
      if (candidate.bonds.length > 0) picker = undefined;
      picker ??= new Picker(this.#run, group, seed);
      const at = picker.pick(candidate);
      if (at !== undefined) {
        this.#place(group, candidate, at);
        // A picker goes on from its best node, and this may be another one.
        if (candidate.stays.length > 0) picker = undefined;
        else picker.noteTask(at);
        continue;
      }
      // Whoever finds no node after another one is refused for the same reasons.
      if (message === undefined || candidate.slotNodes.length + candidate.bonds.length > 0) {
        message = formatRefusals(picker.refusals(candidate));
      }
      this.#leave(group, candidate, message);
    }
  }

  /** The only node that can hold the task takes it, or it waits. */
  #placeAtHome(group: TaskGroup, task: Task, home: Node): void {
    const candidate = this.#candidate(group, task, home);
    const at = this.#run.load.get(home.id);
    const reason = refusalOf(candidate, home, at?.load ?? emptyLoad());
    if (reason === undefined && at !== undefined) return this.#place(group, candidate, at);
    const message = formatWait(group.service, home, reason ?? "is not there");
    this.#leave(group, candidate, message);
  }

  #candidate(group: TaskGroup, task: Task, home: Node | undefined): Candidate {
    const { view } = this.#run;
    const { service, spec } = group;
    const slotNodes = this.#slots.of(view, group, task);
    const stays = this.#slots.stays(view, group, task);
    const gives = roomGivenTo(view, service, task, slotNodes);
    const isFree = this.#index.size === 0 && spec.placement.affinity === undefined;
    const affinity = { index: this.#index, placed: this.#company };
    const bonds = isFree ? NO_BONDS : bondsOf(view, service, task, affinity);
    return { task, spec, slotNodes, stays, gives, home, bonds };
  }

  #place(group: TaskGroup, candidate: Candidate, at: LoadedNode): void {
    const { task } = candidate;
    const { node } = at;
    if (node === undefined) return;
    const guest = guestOf(candidate, node, at.load);
    this.#count(at, guest.task, guest.spec);
    this.#guests.push(guest);
    this.#slots.add(this.#run.view, group, task.slot, at.id);
    this.#noteCompany(task, at.id);
    const { devices } = guest.task;
    const placement = { taskId: task.id, nodeId: at.id };
    this.result.placements.push(devices === undefined ? placement : { ...placement, devices });
  }

  #noteCompany({ serviceId, slot }: Task, nodeId: NodeId): void {
    const company = this.#company.get(serviceId);
    if (company === undefined) this.#company.set(serviceId, [{ slot, nodeId }]);
    else company.push({ slot, nodeId });
  }

  #leave(group: TaskGroup, candidate: Candidate, message: string): void {
    const { task } = candidate;
    this.result.unplaced.push({ taskId: task.id, message });
    if (followsOthers(group.service)) this.#followers.push({ group, task });
    const priority = priorityOf(group.service);
    if (priority > this.#lowest) this.#claims.note(candidate, priority, this.#guests);
  }

  #count(at: LoadedNode, task: Task, spec: ServiceSpec): void {
    this.#run.load.add(at, task, spec);
    this.#added.push({ at, task, spec });
  }
}

export interface NodeVerdict {
  node: Node;
  /** Undefined where the task could run. */
  reason: string | undefined;
  /** What speaks for and against a node on which it could run: what the choice goes by. */
  merits: string;
}

/** For each node, whether the task could run there now: what `orchd explain` shows. */
export function explainPlacement(view: View, task: Task): NodeVerdict[] {
  const service = view.services.get(task.serviceId);
  if (service === undefined) return [];
  const candidate = candidateOf(view, service, task);
  return sortedBy(view.nodes.values(), (node) => node.hostname).map((node) => {
    const load = loadOf(view, node.id);
    const reason = refusalOf(candidate, node, load);
    return { node, reason, merits: reason === undefined ? meritsOf(candidate, node, load) : "" };
  });
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
