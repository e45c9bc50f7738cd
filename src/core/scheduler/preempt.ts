import { sortedBy } from "../../lib/order.ts";
import { plural } from "../../lib/text.ts";
import { canMove } from "../../model/home.ts";
import type { ServiceId, TaskId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { formatServiceName } from "../../model/names.ts";
import { isGlobal, priorityOf, specAt, specOf, type Service } from "../../model/service.ts";
import { formatTaskName, isLive, isReady, occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { bondIndexOf } from "./affinity.ts";
import { candidateOf, type Candidate } from "./candidate.ts";
import { refusalOf } from "./filters.ts";
import { guestOf, guestSoon, isEnding, loadWithout, nodesInQuestion } from "./room.ts";
import { withoutGone, type Guest } from "./room.ts";
import { needBeyond } from "./load.ts";
import { roomGivenTo } from "./staged.ts";
import type { Schedule } from "./schedule.ts";

/** A task that keeps failing takes nobody's room. */
const FAILURES_MAX = 3;
/** More wait for the next look: each may look at every node and all that is there. */
const LOOKS_MAX = 32;

/** A task that is to end, so that another has its room. */
export interface Eviction {
  taskId: TaskId;
  reason: string;
}

export interface Preemption {
  evictions: Eviction[];
  /** What tasks wait for that will have room soon, instead of why they have none now. */
  waits: Map<TaskId, string>;
  /** Whether more could be done than was allowed now. */
  isHeldBack: boolean;
}

/**
 * Which tasks are to end so that those of higher priority, which fit nowhere, have their room. Of
 * all nodes the one counts where the highest of them is the lowest, and then the fewest are. Spared
 * are tasks of the same or a higher priority, those that the task itself needs, and those that
 * can't run elsewhere, unless their own service has a priority, and so says that it may be evicted.
 * @param result of a run of the scheduler on the same view
 * @param evictionsMax how many tasks may be told to end now
 */
export function planPreemption(view: View, result: Schedule, evictionsMax: number): Preemption {
  const tasks = result.unplaced.flatMap(({ taskId }) => view.tasks.get(taskId) ?? []);
  const lowest = lowestPriority(view);
  const inTurn = sortedBy(tasks, (task) => `${task.serviceId}/${task.id}`)
    .map((task) => ({ task, priority: priorityIn(view, task) }))
    .filter(({ task, priority }) => priority > lowest && task.failures < FAILURES_MAX)
    .sort((a, b) => b.priority - a.priority);
  // Nearly always nobody waits who could take another one's room.
  if (inTurn.length === 0) return { evictions: [], waits: new Map(), isHeldBack: false };
  const planning = new Planning(view, result, evictionsMax);
  // Where nothing helps one task, it helps none like it: those must not hold back all after them.
  const inVain = new Set<string>();
  let looks = 0;
  for (const { task } of inTurn) {
    const kind = kindOf(view, task);
    if (kind !== undefined && inVain.has(kind)) continue;
    if (looks++ >= LOOKS_MAX) break;
    if (!planning.makeRoomFor(task) && kind !== undefined) inVain.add(kind);
  }
  return planning.preemption;
}

/** The same for tasks that can go to the same nodes; undefined where each has nodes of its own. */
function kindOf(view: View, { serviceId, revision, slot }: Task): string | undefined {
  const service = view.services.get(serviceId);
  if (service === undefined || !canMove(service) || isGlobal(specOf(service))) return undefined;
  // Another task of its slot may hold what this one is to get.
  const isAlone = view.tasksOf(serviceId).filter((other) => other.slot === slot).length === 1;
  return isAlone ? `${serviceId}/${revision}` : undefined;
}

function lowestPriority(view: View): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (const service of view.services.values()) lowest = Math.min(lowest, priorityOf(service));
  return lowest;
}

function priorityIn(view: View, task: Task): number {
  const service = view.services.get(task.serviceId);
  return service === undefined ? Number.NEGATIVE_INFINITY : priorityOf(service);
}

/** The best that was found for one task. */
interface Choice {
  node: Node;
  victims: Task[];
  highest: number;
}

class Planning {
  readonly preemption: Preemption = { evictions: [], waits: new Map(), isHeldBack: false };
  readonly #view: View;
  readonly #evictionsMax: number;
  /** Tasks that get room in this round, by being placed or by what is planned here. */
  readonly #guests: Guest[];
  readonly #evicted = new Set<TaskId>();
  /** Services that somebody needs who gets room here: their tasks stay, whoever else comes. */
  readonly #spared = new Set<ServiceId>();
  readonly #affinity;

  constructor(view: View, { placements }: Schedule, evictionsMax: number) {
    this.#view = view;
    this.#evictionsMax = evictionsMax;
    this.#guests = placements.flatMap(({ taskId, nodeId, devices }): Guest[] => {
      const task = view.tasks.get(taskId);
      const service = task && view.services.get(task.serviceId);
      if (task === undefined || service === undefined) return [];
      const given = devices === undefined ? task : { ...task, devices };
      const room = roomGivenTo(view, service, task, [nodeId]).get(nodeId);
      const spec = specAt(service, task.revision);
      return [{ nodeId, task: given, spec: room === undefined ? spec : needBeyond(room, spec) }];
    });
    const company = this.#guests.map(({ nodeId, task }) => ({ ...task, nodeId }));
    const placed = Map.groupBy(company, ({ serviceId }) => serviceId);
    this.#affinity = { index: bondIndexOf(view), placed };
  }

  /** Answers whether there is a node where ending others would do. */
  makeRoomFor(task: Task): boolean {
    const service = this.#view.services.get(task.serviceId);
    if (service === undefined) return false;
    const candidate = candidateOf(this.#view, service, task, this.#affinity);
    const soon = guestSoon(this.#view, candidate, this.#guests, (other) => this.#isGoing(other));
    const needed = neededBy(this.#view, service);
    if (soon !== undefined) {
      this.#take(soon, needed);
      return true;
    }
    const choice = this.#choose(candidate, service, needed);
    if (choice === undefined) return false;
    if (this.#evicted.size + choice.victims.length > this.#evictionsMax) {
      this.preemption.isHeldBack = true;
      return true;
    }
    const { node, victims } = choice;
    const why = `makes room for ${formatTaskName(task)}, which has priority ${priorityOf(service)}`;
    for (const { id } of victims) {
      this.#evicted.add(id);
      this.preemption.evictions.push({ taskId: id, reason: why });
    }
    const load = loadWithout(this.#view, node.id, (other) => this.#isGoing(other), this.#guests);
    this.#take(guestOf(candidate, node, load), needed);
    return true;
  }

  #isGoing(task: Task): boolean {
    return isEnding(task) || this.#evicted.has(task.id);
  }

  /** The room is the task's: nobody after it has it too. */
  #take(guest: Guest, needed: ReadonlySet<ServiceId>): void {
    this.#guests.push(guest);
    for (const id of needed) this.#spared.add(id);
    const { nodeId, task } = guest;
    const going = this.#view.tasksOn(nodeId).filter((other) => this.#isGoing(other)).length;
    const host = this.#view.nodes.get(nodeId)?.hostname ?? nodeId;
    const ended = going === 1 ? "has ended" : "have ended";
    this.preemption.waits.set(
      task.id,
      `waits until ${plural(going, "task")} on node ${host} ${ended}`,
    );
  }

  #choose(
    candidate: Candidate,
    service: Service,
    needed: ReadonlySet<ServiceId>,
  ): Choice | undefined {
    const mayEnd = (task: Task) => this.#mayEnd(task, priorityOf(service), needed);
    let best: Choice | undefined;
    for (const node of sortedBy(nodesInQuestion(this.#view, candidate), ({ id }) => id)) {
      const victims = this.#victimsOn(node, candidate, mayEnd);
      if (victims === undefined) continue;
      const highest = Math.max(...victims.map((task) => priorityIn(this.#view, task)));
      const choice = { node, victims, highest };
      if (best === undefined || isBetter(choice, best)) best = choice;
    }
    return best;
  }

  #mayEnd(task: Task, below: number, needed: ReadonlySet<ServiceId>): boolean {
    const service = this.#view.services.get(task.serviceId);
    if (service === undefined || !isLive(task) || !occupiesNode(task)) return false;
    if (priorityOf(service) >= below) return false;
    if (needed.has(service.id) || this.#spared.has(service.id)) return false;
    return canMove(service) || specOf(service).priority !== undefined;
  }

  /** As few as will do; undefined where it is not enough that all of them end, or none has to. */
  #victimsOn(
    node: Node,
    candidate: Candidate,
    mayEnd: (task: Task) => boolean,
  ): Task[] | undefined {
    const view = this.#view;
    const all = view.tasksOn(node.id).filter((task) => mayEnd(task) && !this.#isGoing(task));
    const gone = new Set(all.map((task) => task.id));
    const fits = () => {
      const isGone = (task: Task) => gone.has(task.id) || this.#isGoing(task);
      const load = loadWithout(view, node.id, isGone, this.#guests);
      return refusalOf(withoutGone(view, candidate, isGone), node, load) === undefined;
    };
    if (all.length === 0 || !fits()) return undefined;
    for (const task of this.#inOrderOfWorth(node, all)) {
      gone.delete(task.id);
      if (!fits()) gone.add(task.id);
    }
    return all.filter((task) => gone.has(task.id));
  }

  /**
   * Whom to spare first: higher priorities, then small tasks, so that fewer end, then those that
   * are ready, then the older ones.
   */
  #inOrderOfWorth(node: Node, tasks: readonly Task[]): Task[] {
    const size = (task: Task) => {
      const service = this.#view.services.get(task.serviceId);
      if (service === undefined) return 0;
      const { cpuMillis, memoryBytes } = specAt(service, task.revision).resources.reservations;
      const { resources } = node;
      return (
        cpuMillis / Math.max(1, resources.cpuMillis) +
        memoryBytes / Math.max(1, resources.memoryBytes)
      );
    };
    return sortedBy(tasks, ({ id }) => id).sort(
      (a, b) =>
        priorityIn(this.#view, b) - priorityIn(this.#view, a) ||
        size(a) - size(b) ||
        Number(isReady(b)) - Number(isReady(a)) ||
        a.createdAt - b.createdAt,
    );
  }
}

function isBetter(a: Choice, b: Choice): boolean {
  if (a.highest !== b.highest) return a.highest < b.highest;
  return a.victims.length < b.victims.length;
}

/** The services that it depends on or is to be near to, and those that these need. */
function neededBy(view: View, service: Service): Set<ServiceId> {
  const needed = new Set<ServiceId>();
  const open = [service];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    for (const target of directNeeds(view, one)) {
      if (needed.has(target.id)) continue;
      needed.add(target.id);
      open.push(target);
    }
  }
  return needed;
}

function directNeeds(view: View, service: Service): Service[] {
  const { placement, dependsOn = [] } = specOf(service);
  const near = (placement.affinity ?? []).filter(({ relation }) => relation === "near");
  const names = [
    ...near.map((rule) => rule.service),
    ...dependsOn.map((dependency) => formatServiceName(service.stack, dependency.service)),
  ];
  return names.flatMap((name) => {
    const [stack = "", other = ""] = name.split("/");
    return view.serviceNamed(stack, other) ?? [];
  });
}
