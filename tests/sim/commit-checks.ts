import { nodeValue, unmetConstraint } from "../../src/model/constraint.ts";
import type { Applied } from "../../src/model/change.ts";
import { canMove } from "../../src/model/home.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import {
  isGlobal,
  restartOf,
  priorityOf,
  sameTemplate,
  specAt,
  specOf,
  tieOf,
  type RestartPolicy,
  type Service,
} from "../../src/model/service.ts";
import { baseOfSlot, runOfSlot } from "../../src/model/slot-name.ts";
import {
  isLive,
  isStaged,
  isTerminal,
  occupiesNode,
  rankOf,
  type Task,
} from "../../src/model/task.ts";
import type { View } from "../../src/model/view.ts";
import { RolloutChecks } from "./rollout-checks.ts";
import { checkLeaving } from "./drain-checks.ts";
import { JobChecks } from "./job-checks.ts";
import type { Invariant, Violation } from "./violation.ts";

type Problem = Violation | undefined;

/** Checks of one write, against the state right before it. */
export class CommitChecks {
  readonly #rollouts = new RolloutChecks();
  readonly #jobs = new JobChecks();
  readonly #idsUsed = new Set<TaskId>();
  /** Where a task of each slot ran that can't move; by service and slot. */
  readonly #homes = new Map<string, NodeId>();

  /**
   * The first invariant that a commit breaks.
   * @param now by the clock of the server's machine
   */
  check(applied: readonly Applied[], before: View, now: number): Problem {
    const whole = this.#rollouts.check(applied, before, now) ?? checkLeaving(applied, before, now);
    if (whole !== undefined) return whole;
    for (const one of applied) {
      const problem =
        this.#jobs.check(one, before, applied) ?? this.#checkOne(one, before, applied);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #checkOne(applied: Applied, view: View, whole: readonly Applied[]): Problem {
    if (applied.kind === "service") return checkService(applied.before, applied.after, view);
    if (applied.kind !== "task") return undefined;
    const { before, after } = applied;
    if (after === undefined) return checkEnd(before, view);
    const tie = this.#checkTie(before, after, view);
    if (tie !== undefined) return tie;
    if (before !== undefined) {
      return (
        checkChange(before, after, view) ??
        checkCompany(before, after, whole, view) ??
        checkLoser(before, after, whole, view) ??
        this.#checkVictim(before, after, view)
      );
    }
    const isUsed = this.#idsUsed.has(after.id);
    this.#idsUsed.add(after.id);
    if (isUsed) return broken("T4", after, "was there before");
    return checkSiblings(after, whole, view) ?? checkBirth(after, whole, view);
  }

  /** Whoever makes room for another has the lower priority, and few do so in a minute. */
  #checkVictim(before: Task, after: Task, view: View): Problem {
    const [, stack = "", name = ""] =
      /^makes room for ([^/]+)\/(.+)\.[^.]+, /.exec(after.message) ?? [];
    if (before.desired !== "running" || after.desired !== "shutdown" || name === "")
      return undefined;
    const [loser, winner] = [view.services.get(after.serviceId), view.serviceNamed(stack, name)];
    if (loser === undefined || winner === undefined) return undefined;
    if (priorityOf(loser) >= priorityOf(winner)) {
      return broken("priority", after, `of ${priorityOf(loser)} makes room for ${stack}/${name}`);
    }
    if (!canMove(loser) && specOf(loser).priority === undefined) {
      return broken("priority", after, `can't run elsewhere and makes room for ${stack}/${name}`);
    }
    return undefined;
  }

  /** What runs where its data is stays there, for as long as that node is in the cluster. */
  #checkTie(before: Task | undefined, after: Task, view: View): Problem {
    const service = view.services.get(after.serviceId);
    if (service === undefined || tieOf(specOf(service)) === undefined) return undefined;
    const slot = `${after.serviceId}/${baseOfSlot(after.slot)}`;
    const home = this.#homes.get(slot);
    const isPlaced = before?.nodeId === undefined && after.nodeId !== undefined;
    if (isPlaced && home !== undefined && home !== after.nodeId && view.nodes.has(home)) {
      return broken("tied", after, `goes to ${after.nodeId}, and its data is on ${home}`);
    }
    const { nodeId, startedAt } = after;
    if (nodeId !== undefined && startedAt !== undefined) this.#homes.set(slot, nodeId);
    return undefined;
  }
}

/** A task that is forgotten: its node has removed it, or there is none that could. */
function checkEnd(before: Task | undefined, view: View): Problem {
  if (before?.nodeId === undefined) return undefined;
  const node = view.nodes.get(before.nodeId);
  if (node === undefined || node.health === "down") return undefined;
  if (before.state === "removed" && before.desired === "removed") return undefined;
  return broken("T3", before, `goes as ${before.state}, and was to be ${before.desired}`);
}

/** Rules about other services, when a task gets its node; `whole` places others beside it. */
function checkCompany(before: Task, after: Task, whole: readonly Applied[], view: View): Problem {
  const service = view.services.get(after.serviceId);
  if (before.nodeId !== undefined || after.nodeId === undefined || service === undefined) {
    return undefined;
  }
  const now = new Map([...view.tasks.values()].map((task) => [task.id, task]));
  for (const one of whole) if (one.kind === "task" && one.after) now.set(one.after.id, one.after);
  const nodeOf = (task: Task) => task.nodeId && view.nodes.get(task.nodeId);
  const here = nodeOf(after);
  const isWith = (other: Task, name: string, key: string) => {
    const there = nodeOf(other);
    if (here === undefined || there === undefined || !occupiesNode(other)) return false;
    if (`${other.stack}/${other.service}` !== name || nodeValue(there, key) === undefined)
      return false;
    const isSlot = other.serviceId === after.serviceId && other.slot === after.slot;
    return !isSlot && nodeValue(there, key) === nodeValue(here, key);
  };
  const others = [...now.values()];
  for (const { service: name, relation, key, required } of specOf(service).placement.affinity ??
    []) {
    const found = others.some((other) => isWith(other, name, key));
    const isOwn = name === `${after.stack}/${after.service}`;
    if (!required || isOwn || found === (relation === "near")) continue;
    return broken("S3", after, `is not ${relation} to ${name} by ${key}`);
  }
  return undefined;
}

/** How many live tasks a slot has with a new one. */
function checkSiblings(task: Task, whole: readonly Applied[], view: View): Problem {
  const service = view.services.get(task.serviceId);
  if (service === undefined || isGlobal(specOf(service))) return undefined;
  const stopped = new Set(
    whole.flatMap(({ kind, after }) =>
      kind === "task" && after && !isLive(after) ? after.id : [],
    ),
  );
  const others = view.tasksOf(task.serviceId).filter((other) => {
    return other.slot === task.slot && isLive(other) && !stopped.has(other.id);
  });
  // Beside the one that runs another one may be made ready.
  const isBeside =
    specOf(service).update.order === "start-first" || [task, ...others].some(isStaged);
  const most = isBeside ? 2 : 1;
  if (others.length <= most) return undefined;
  return broken("one", task, `comes beside ${others.map(({ id }) => id).join(", ")}`);
}

/** A task that ends because another holds its slot: the other goes on. */
function checkLoser(before: Task, after: Task, whole: readonly Applied[], view: View): Problem {
  if (before.desired !== "running" || after.desired !== "shutdown") return undefined;
  if (!after.message.endsWith("holds its slot")) return undefined;
  const stays = view.tasksOf(after.serviceId).some((other) => {
    if (other.slot !== after.slot || other.id === after.id || !isLive(other)) return false;
    const written = whole.filter((one) => one.kind === "task" && one.before?.id === other.id);
    return written.every((one) => one.kind === "task" && one.after && isLive(one.after));
  });
  return stays ? undefined : broken("both", after, "ends, and so does the other one");
}

/**
 * What must hold in the whole state after each commit.
 * @param isAstray whether the task's room is none that the server gave and keeps for it
 */
export function checkState(view: View, isAstray: (id: TaskId) => boolean): Problem {
  for (const task of view.tasks.values()) {
    if (!view.services.has(task.serviceId)) return broken("T1", task, "has no service");
    if (task.nodeId === undefined && rankOf(task.state) >= rankOf("assigned")) {
      if (task.state !== "shutdown") return broken("T2", task, `is ${task.state} without a node`);
    }
  }
  for (const nodeId of view.nodes.keys()) {
    const problem = checkCapacity(view, nodeId, isAstray) ?? checkHolders(view, nodeId, isAstray);
    if (problem !== undefined) return problem;
  }
  for (const service of view.services.values()) {
    const moving = view.tasksOf(service.id).filter((task) => isLive(task) && task.leave);
    const [, second] = moving;
    if (second !== undefined) return broken("balance", second, "moves beside another one");
  }
  return undefined;
}

/** Ports and devices that one task at a time can have. */
function checkHolders(view: View, nodeId: NodeId, isAstray: (id: TaskId) => boolean): Problem {
  const node = view.nodes.get(nodeId);
  const exclusive = new Set(node?.devices?.filter((one) => one.exclusive).map(({ id }) => id));
  const holders = new Map<string, Task>();
  for (const task of view.tasksOn(nodeId)) {
    const service = view.services.get(task.serviceId);
    if (service === undefined || !occupiesNode(task) || isAstray(task.id)) continue;
    const ports = specAt(service, task.revision).ports.filter(({ mode }) => mode === "host");
    const devices = (task.devices ?? []).filter((id) => exclusive.has(id));
    for (const what of [...ports.map((port) => `port ${port.published}`), ...devices]) {
      const other = holders.get(what);
      // What is only made ready gets it from the one before it.
      const isHandedOn =
        other?.serviceId === task.serviceId &&
        other.slot === task.slot &&
        (isStaged(task) || isStaged(other));
      if (other !== undefined && !isHandedOn) {
        return broken("S2", task, `holds ${what} beside another task`);
      }
      holders.set(what, task);
    }
  }
  return undefined;
}

function checkCapacity(view: View, nodeId: NodeId, isAstray: (id: TaskId) => boolean): Problem {
  let cpuMillis = 0;
  let memoryBytes = 0;
  let lora = 0;
  for (const task of view.tasksOn(nodeId)) {
    const service = view.services.get(task.serviceId);
    if (service === undefined || !occupiesNode(task) || isAstray(task.id)) continue;
    const { reservations } = specAt(service, task.revision).resources;
    // What is only made ready takes the room of the one before it.
    const before = isStaged(task) ? roomBefore(view, service, task) : NO_ROOM;
    cpuMillis += Math.max(0, reservations.cpuMillis - before.cpuMillis);
    memoryBytes += Math.max(0, reservations.memoryBytes - before.memoryBytes);
    lora += Math.max(0, (reservations.generic?.["lora"] ?? 0) - before.lora);
  }
  const node = view.nodes.get(nodeId);
  if (node === undefined) return undefined;
  const { resources: has, generic } = node;
  if (lora > (generic?.["lora"] ?? 0)) {
    return { invariant: "S1", message: `node ${nodeId} gives ${lora} of resource lora` };
  }
  if (cpuMillis <= has.cpuMillis && memoryBytes <= has.memoryBytes) return undefined;
  return { invariant: "S1", message: `node ${nodeId} holds ${cpuMillis} of ${has.cpuMillis}` };
}

const NO_ROOM = { cpuMillis: 0, memoryBytes: 0, lora: 0 };

/** What the other tasks of a slot hold on the same node: it starts when they have ended. */
function roomBefore(view: View, service: Service, task: Task) {
  const others = view.tasksOf(service.id).filter((other) => {
    const isBeside = other.slot === task.slot && other.nodeId === task.nodeId;
    return isBeside && !isStaged(other) && occupiesNode(other);
  });
  const held = others.map((other) => specAt(service, other.revision).resources.reservations);
  return {
    cpuMillis: held.reduce((sum, { cpuMillis }) => sum + cpuMillis, 0),
    memoryBytes: held.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    lora: held.reduce((sum, { generic }) => sum + (generic?.["lora"] ?? 0), 0),
  };
}

function checkService(
  before: Service | undefined,
  after: Service | undefined,
  view: View,
): Problem {
  if (before !== undefined && after === undefined && view.tasksOf(before.id).length > 0) {
    return { invariant: "T1", message: `service ${before.name} goes before its tasks` };
  }
  if (before === undefined || after === undefined) return undefined;
  if (specOf(before).mode === specOf(after).mode) return undefined;
  return { invariant: "T7", message: `service ${before.name} changes its mode` };
}

function checkChange(before: Task, after: Task, view: View): Problem {
  if (rankOf(after.state) < rankOf(before.state)) {
    return broken("T5", after, `goes from ${before.state} back to ${after.state}`);
  }
  if (isTerminal(before.state) && after.state !== before.state && after.state !== "removed") {
    return broken("T5", after, `had ended as ${before.state} and is ${after.state}`);
  }
  const wishes = ["prepared", "running", "shutdown", "removed"];
  if (wishes.indexOf(after.desired) < wishes.indexOf(before.desired)) {
    return broken("T5", after, `was to be ${before.desired} and is to be ${after.desired}`);
  }
  for (const key of ["serviceId", "slot", "revision", "stack", "service", "createdAt"] as const) {
    if (before[key] !== after[key]) return broken("T6", after, `changes its ${key}`);
  }
  if (before.nodeId !== undefined && before.nodeId !== after.nodeId) {
    return broken("T6", after, "moves to another node");
  }
  return before.nodeId === undefined && after.nodeId !== undefined
    ? checkPlacement(after, after.nodeId, view)
    : undefined;
}

function checkPlacement(task: Task, nodeId: NodeId, view: View): Problem {
  const node = view.nodes.get(nodeId);
  const service = view.services.get(task.serviceId);
  if (node === undefined || service === undefined) return broken("T2", task, "is placed nowhere");
  if (node.availability !== "active" || node.health !== "ready") {
    return broken("S4", task, `is placed on a node that is ${node.availability}, ${node.health}`);
  }
  const { container, resources } = specAt(service, task.revision);
  if (resources.reservations.devices !== undefined && task.devices === undefined) {
    return broken("S3", task, "gets none of the devices that it asks for");
  }
  const { platform = "linux" } = container;
  if (!`${node.platform.os}/${node.platform.arch}/`.startsWith(`${platform}/`)) {
    return broken("S3", task, `is placed on ${node.hostname}, which is not ${platform}`);
  }
  // Placement is told by the newest revision, since a change of it makes no new task.
  const { constraints } = specOf(service).placement;
  if (unmetConstraint(node, constraints) === undefined) return undefined;
  return broken("S3", task, `is placed on ${node.hostname}, against its constraints`);
}

function checkBirth(task: Task, whole: readonly Applied[], view: View): Problem {
  const service = serviceAfter(task, whole, view);
  if (service === undefined) return broken("T1", task, "has no service");
  // Its agent made it while it was alone, and has run it since.
  if (task.state === "assigned" && task.message.startsWith("started by its node")) return undefined;
  const isHeld = task.state === "new" && specOf(service).dependsOn !== undefined;
  if (task.state !== "pending" && !isHeld) return broken("T5", task, `begins as ${task.state}`);
  const last = lastAttempt(task, service, view);
  const restart = restartOf(specOf(service));
  if (last === undefined || ["shutdown", "removed"].includes(last.state)) {
    return task.failures === 0 ? undefined : broken("S15", task, "counts failures of nobody");
  }
  // What an earlier rollout of the same template tried does not hold back a later one.
  const { templateRevision } = service;
  const isOfNow = task.revision >= templateRevision && last.revision < templateRevision;
  if (isOfNow && task.failures === 0) return undefined;
  if (last.state === "lost") {
    return task.failures === last.failures ? undefined : broken("S15", task, "counts a lost task");
  }
  if (task.failures < 1 || task.failures > last.failures + 1) {
    return broken("S15", task, `counts ${task.failures} failures after ${last.failures}`);
  }
  if (task.failures > (restart.maxAttempts ?? Number.POSITIVE_INFINITY)) {
    return broken("S15", task, `is restart ${task.failures} of ${restart.maxAttempts}`);
  }
  const waitedMs = task.createdAt - (last.finishedAt ?? last.since);
  const expectedMs = backoffMs(task.failures, restart);
  // An end that lies ahead tells that the clock was set back: then nobody waits.
  if (waitedMs >= expectedMs || waitedMs < 0) return undefined;
  return broken("S15", task, `came after ${waitedMs} ms instead of ${expectedMs} ms`);
}

/** The service of a task as it is with the commit. */
function serviceAfter(
  { serviceId }: Task,
  whole: readonly Applied[],
  view: View,
): Service | undefined {
  for (const { kind, after } of whole) {
    if (kind === "service" && after?.id === serviceId) return after;
  }
  return view.services.get(serviceId);
}

/** The slot's latest attempt, where it has ended and was of the task's own template. */
function lastAttempt(task: Task, service: Service, view: View): Task | undefined {
  const [latest] = view
    .tasksOf(service.id)
    .filter(({ slot }) => slot === task.slot)
    .toSorted((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt);
  if (latest === undefined || !isTerminal(latest.state)) return undefined;
  if (runOfSlot(task.slot) !== undefined) return latest;
  const [before, after] = [latest, task].map(({ revision }) => specAt(service, revision));
  return before && after && sameTemplate(before, after) ? latest : undefined;
}

function backoffMs(failures: number, { delayMs, delayMaxMs }: RestartPolicy): number {
  let waitMs = delayMs;
  for (let i = 1; i < failures && waitMs < delayMaxMs; i++) waitMs *= 2;
  return Math.min(waitMs, Math.max(delayMs, delayMaxMs));
}

function broken(invariant: Invariant, task: Task, what: string): Violation {
  const name = `${task.stack}/${task.service}.${task.slot} ${task.id}`;
  return { invariant, message: `task ${name} ${what}` };
}
