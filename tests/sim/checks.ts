import type { AssignmentSet } from "../../src/model/assignment.ts";
import type { NodeId, ServiceId, TaskId } from "../../src/model/ids.ts";
import { specOf, tieOf } from "../../src/model/service.ts";
import { isLive, isTerminal } from "../../src/model/task.ts";
import { supersededIn } from "../plan-linter.ts";
import type { Commit } from "../../src/store/store.ts";
import { CommitChecks, checkState } from "./commit-checks.ts";
import type { Place } from "./cluster.ts";
import type { Disk } from "./simulated-store.ts";
import { ScaleChecks } from "./scale-checks.ts";
import { StoreChecks } from "./store-checks.ts";
import type { Invariant, Violation } from "./violation.ts";
import { VolumeChecks } from "./volume-checks.ts";

/** For so long a session must have been there, so that nobody may call its node down. */
const STEADY_MS = 25_000;
/** For so long a session must have been there, so that nobody may come to call its node down. */
const THERE_MS = 8000;
/** For so long a server may take to empty a drained node whose deadline has passed. */
const EMPTYING_MS = 15_000;
/** For so long at least a server that was paused takes nobody for gone. */
const PAUSE_GRACE_MS = 9_000;
/** A shorter pause is no pause, just slowness. */
const PAUSE_MIN_MS = 5_000;

/** Watches a whole run and keeps the first invariant that is broken. */
export class Checks {
  violation: Violation | undefined;
  readonly store = new StoreChecks((violation) => this.#note(violation));
  readonly volumes = new VolumeChecks((violation) => this.#note(violation));
  readonly #disk: Disk;
  readonly #places: () => readonly Place[];
  readonly #serverNow: () => number;
  /** Tasks that nobody could be told of at some time: they may run for longer than they should. */
  readonly #astray = new Set<TaskId>();
  readonly #commits = new CommitChecks();
  readonly #scales = new ScaleChecks();
  readonly #slots = new Map<TaskId, { serviceId: ServiceId; slot: string }>();
  /** Tasks that were made ready, and told to end before anybody could start them. */
  readonly #unstarted = new Set<TaskId>();
  /** Tasks that their agents made while no server was in reach. */
  readonly #alone = new Set<TaskId>();
  readonly #starts = new Map<TaskId, number>();
  /** Tasks that had ended before the last server went, and whose slots went on without them. */
  readonly #over = new Set<TaskId>();
  #checkedVersion = 0;
  #pausedAt = 0;
  #resumedAt = 0;
  #startedAt = 0;
  /** Since when the deadlines of drained nodes have passed. */
  readonly #overdueSince = new Map<NodeId, number>();

  /** @param serverNow by the clock of the server's machine, however wrong */
  constructor(disk: Disk, places: () => readonly Place[], serverNow: () => number) {
    this.#serverNow = serverNow;
    this.#disk = disk;
    this.#places = places;
  }

  /** A commit is about to become durable. */
  onDurable(commit: Commit, now: number): void {
    const { applied } = commit;
    this.store.onDurable(commit);
    this.volumes.onDurable(applied);
    this.#note(this.#commits.check(applied, this.#disk.view, this.#serverNow()));
    this.#note(this.#scales.check(applied, now, this.#serverNow()));
    for (const { kind, before, after } of applied) {
      if (kind === "task" && after !== undefined) {
        this.#slots.set(after.id, { serviceId: after.serviceId, slot: after.slot });
        if (before === undefined && after.state === "assigned") this.#noteAlone(after.id);
        const isLetGo = after.desired !== "prepared" && after.desired !== "running";
        if (before?.desired === "prepared" && isLetGo) this.#unstarted.add(after.id);
      }
      if (kind === "node" && after?.health === "down" && before?.health !== "down") {
        for (const task of this.#disk.view.tasksOn(after.id)) this.#astray.add(task.id);
        this.#checkFall(after.id, now);
        this.#checkPause(after.id, now);
      }
    }
  }

  /** One event of the simulation has passed. */
  afterEvent(now: number): void {
    const { view } = this.#disk;
    this.store.afterEvent();
    if (this.#checkedVersion === view.version) return;
    this.#checkedVersion = view.version;
    this.#note(checkState(view, (id) => this.#alone.has(id) || this.#unstarted.has(id)));
    for (const place of this.#places()) {
      this.#checkHealth(place, now);
      this.#checkDeadline(place, now);
    }
  }

  onContainer(what: "created" | "started" | "exited" | "removed", taskId: TaskId): void {
    if (!this.#slots.has(taskId)) this.#madeAlone(taskId);
    if (what !== "started") return;
    this.#checkTie(taskId);
    const starts = (this.#starts.get(taskId) ?? 0) + 1;
    this.#starts.set(taskId, starts);
    const { desired } = this.#disk.view.tasks.get(taskId) ?? {};
    if (desired === "prepared" || this.#unstarted.has(taskId)) {
      this.broken("staged", `task ${taskId} is started, and was only to be made ready`);
    }
    if (starts > 1) this.broken("once", `task ${taskId} is started for the ${starts}nd time`);
    this.#checkSurge(taskId);
  }

  /** An agent removes a container, rather than somebody behind our back. */
  onRemoval(taskId: TaskId): void {
    const task = this.#disk.view.tasks.get(taskId);
    if (task === undefined || task.desired === "removed") return;
    // Of those that its agent made, it forgets one that ended before the server hears of it.
    if (this.#alone.has(taskId) && !this.#isRunning(taskId)) return;
    this.broken("S10", `the container of task ${taskId} goes, which is to be ${task.desired}`);
  }

  /** An agent stops a container that runs: as it was told to, or found it sick, or out of time. */
  onStop({ disk, machine }: Place, taskId: TaskId, found: { now: boolean; ever: boolean }): void {
    const task = this.#disk.view.tasks.get(taskId);
    if (task === undefined || task.desired !== "running" || isTerminal(task.state)) return;
    // What a life of the agent has found out ends the task in a later one, if it wrote that down.
    if (found.now || (found.ever && disk.statuses.get(taskId)?.ending === true)) return;
    const { endsAt } = disk.set?.assignments.find((one) => one.taskId === taskId) ?? {};
    if (endsAt !== undefined && endsAt <= machine.now()) return;
    this.broken("O2", `the container of task ${taskId} is stopped, which is to be running`);
  }

  onDelivered(nodeId: NodeId, set: AssignmentSet): void {
    const { view } = this.#disk;
    if (set.generation > view.version) {
      const told = `generation ${set.generation}, and the disk holds ${view.version}`;
      this.broken("durable", `node ${nodeId} is told of ${told}`);
    }
  }

  /** No store of a run goes back to an older version: what agents hold doesn't either. */
  onSet({ node }: Place, set: AssignmentSet, before: AssignmentSet | undefined): void {
    if (before === undefined || set.generation >= before.generation) return;
    const taken = `${set.generation} after ${before.generation}`;
    this.broken("S6", `node ${node.hostname} takes the set of generation ${taken}`);
  }

  onPause(now: number): void {
    this.#pausedAt = now;
  }

  onServerStart(now: number): void {
    this.#startedAt = now;
  }

  onResume(now: number): void {
    this.#resumedAt = now;
  }

  /** Whatever has ended by now, and is not its slot's last word, is started again by nobody. */
  noteOver(): void {
    const { view } = this.#disk;
    for (const service of view.services.values()) {
      for (const { id } of supersededIn(view, service)) this.#over.add(id);
    }
  }

  broken(invariant: Invariant, message: string): void {
    this.violation ??= { invariant, message };
  }

  /** A node that was there before a pause and is there after it is not called down for it. */
  #checkPause(nodeId: NodeId, now: number): void {
    const place = this.#places().find(({ node }) => node.id === nodeId);
    const sinceMs = now - this.#resumedAt;
    const isAfter = this.#resumedAt > this.#pausedAt && sinceMs < PAUSE_GRACE_MS;
    if (!isAfter || place?.agent === undefined || place.isCut) return;
    if (this.#resumedAt - this.#pausedAt < PAUSE_MIN_MS) return;
    if (this.#pausedAt - place.steadySince < STEADY_MS) return;
    this.broken("H2", `node ${place.node.hostname} is called down ${sinceMs} ms after a pause`);
  }

  /** A node whose session would answer is not called down, whatever gossip says of it. */
  #checkFall(nodeId: NodeId, now: number): void {
    const place = this.#places().find(({ node }) => node.id === nodeId);
    if (place?.agent?.link.isConnected !== true || place.isCut) return;
    const thereMs = now - Math.max(place.steadySince, this.#resumedAt);
    if (thereMs < THERE_MS) return;
    this.broken("H1", `node ${place.node.hostname} is called down, and answers for ${thereMs} ms`);
  }

  /** A node whose agent is there, and was for long, is not down. */
  #checkHealth({ node, agent, isCut, steadySince }: Place, now: number): void {
    const since = Math.max(steadySince, this.#resumedAt);
    if (agent === undefined || isCut || now - since < STEADY_MS) return;
    if (this.#disk.view.nodes.get(node.id)?.health !== "down") return;
    this.broken("H1", `node ${node.hostname} is down, with a session for ${now - steadySince} ms`);
  }

  /** Nothing that runs on a drained node is wanted there for long when its deadline has passed. */
  #checkDeadline({ node: { id } }: Place, now: number): void {
    const { view } = this.#disk;
    const node = view.nodes.get(id);
    const isDrained = node?.availability === "drain" && node.health !== "down";
    const isDue = isDrained && (node.drainBy ?? Infinity) <= this.#serverNow();
    if (!isDue) return void this.#overdueSince.delete(id);
    const since = Math.max(this.#overdueSince.get(id) ?? now, this.#resumedAt, this.#startedAt);
    this.#overdueSince.set(id, since);
    const left = view.tasksOn(id).find((task) => isLive(task) && !this.#alone.has(task.id));
    if (now - since < EMPTYING_MS || left === undefined) return;
    this.broken("S4", `task ${left.id} is wanted on a node ${now - since} ms after its deadline`);
  }

  #note(violation: Violation | undefined): void {
    this.violation ??= violation;
  }

  /** Running containers of the slot of a task that has just started. */
  #checkSurge(taskId: TaskId): void {
    const place = this.#slots.get(taskId);
    if (place === undefined) {
      return this.broken("S12", `a container runs for task ${taskId}, which never was`);
    }
    const service = this.#disk.view.services.get(place.serviceId);
    if (service === undefined) return;
    const startFirst = specOf(service).update.order === "start-first";
    const running = [...this.#running()].filter((id) => {
      if (this.#astray.has(id)) return false;
      const other = this.#slots.get(id);
      if (other?.serviceId !== place.serviceId || other.slot !== place.slot) return false;
      // Beside the two that a start-first update needs, others may be on their way out.
      return !startFirst || this.#disk.view.tasks.get(id)?.desired === "running";
    });
    if (running.length <= (startFirst ? 2 : 1)) return;
    this.broken("surge", `slot ${service.name}.${place.slot} runs ${running.join(", ")}`);
  }

  /** What is tied to a node runs on that one alone, whatever anybody was told. */
  #checkTie(taskId: TaskId): void {
    const own = this.#slots.get(taskId);
    const service = own && this.#disk.view.services.get(own.serviceId);
    if (own === undefined || service === undefined || tieOf(specOf(service)) === undefined) return;
    const nodes = this.#places().filter(({ machine }) =>
      [...machine.containers.values()].some((container) => {
        const other = this.#slots.get(container.taskId);
        const isOfSlot = other?.serviceId === own.serviceId && other.slot === own.slot;
        return isOfSlot && container.state === "running";
      }),
    );
    if (nodes.length <= 1) return;
    const names = nodes.map(({ node }) => node.hostname).join(" and ");
    this.broken("S5", `slot ${service.name}.${own.slot} runs on ${names}`);
  }

  /** A task that an agent made while no server was in reach: the server hears of it later. */
  #madeAlone(taskId: TaskId): void {
    for (const { disk } of this.#places()) {
      const made = disk.set?.assignments.find((one) => one.taskId === taskId && one.predecessor);
      if (made === undefined) continue;
      this.#noteAlone(taskId);
      this.#slots.set(taskId, made);
      const before = made.predecessor?.ended.taskId;
      if (before === undefined || !this.#over.has(before)) continue;
      this.broken("retired", `task ${taskId} goes on from ${before}, as its slot did elsewhere`);
    }
  }

  #noteAlone(taskId: TaskId): void {
    this.#astray.add(taskId);
    this.#alone.add(taskId);
  }

  #isRunning(taskId: TaskId): boolean {
    return [...this.#running()].includes(taskId);
  }

  *#running(): Iterable<TaskId> {
    for (const { machine } of this.#places()) {
      for (const { taskId, state } of machine.containers.values()) {
        if (state === "running") yield taskId;
      }
    }
  }
}
