import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";
import { awaitedPorts, type FoundContainer, planStep, type Step } from "../core/task/step.ts";
import type { Assignment, AssignmentSet } from "../model/assignment.ts";
import type { ImagePin, Limits } from "../model/container.ts";
import type { TaskId } from "../model/ids.ts";
import { isFit, type Health, type TaskStatus } from "../model/task.ts";
import type { Containers } from "./containers.ts";
import type { Executor } from "./executor.ts";
import type { Readiness } from "./readiness.ts";

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;

export interface WorkerOptions {
  clock: Clock;
  log: Log;
  containers: Containers;
  executor: Executor;
  readiness: Pick<Readiness, "learn" | "isHeld">;
  /** Whether the network that a task shares is gone. */
  isCutOff(assignment: Assignment): boolean;
  /**
   * Called before a task's container is started, or made to stand still: what this puts on the disk
   * keeps a later life of the agent from starting it again. The start waits while it throws.
   */
  onStarting(status: TaskStatus): void;
  /** Called with every status that a task reaches. */
  onStatus(status: TaskStatus): void;
  /** Called when nothing of a task is left here. */
  onForget(taskId: TaskId): void;
}

interface Runner {
  running: boolean;
  /** Something changed while a step was under way: look again after it. */
  dirty: boolean;
  retryMs: number;
  retry: Timer | undefined;
  trouble: Trouble;
}

/**
 * Brings each task of the node, one step at a time and independently of the others, to where its
 * assignment wants it. Every step is planned from what is there, so a poke too many does nothing.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #assignments = new Map<TaskId, Assignment>();
  readonly #statuses = new Map<TaskId, TaskStatus>();
  /** What the images are of tasks that were made here without being told that. */
  readonly #pins = new Map<TaskId, ImagePin>();
  readonly #runners = new Map<TaskId, Runner>();
  #generation = -1;
  #closed = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Takes up what the node's own disk remembers; nothing moves until the runtime was listed. */
  restore(set: AssignmentSet | undefined, statuses: readonly TaskStatus[]): void {
    for (const status of statuses) this.#statuses.set(status.taskId, status);
    for (const assignment of set?.assignments ?? []) {
      this.#assignments.set(assignment.taskId, assignment);
    }
    this.#generation = set?.generation ?? -1;
  }

  /**
   * Takes the first set of a new session whatever its generation: a server that was put back from a
   * backup counts from an older one. Within a session generations only grow.
   */
  beginSession(): void {
    this.#generation = -1;
  }

  /**
   * Whether the set is at least as new as the last one that was accepted; from then on no older one
   * is, even while this one can't be saved yet.
   */
  accept({ generation }: AssignmentSet): boolean {
    if (generation < this.#generation) return false;
    this.#generation = generation;
    return true;
  }

  /** Takes a whole assignment set in place of the last one. */
  assign(set: AssignmentSet): void {
    const before = new Set(this.#assignments.keys());
    this.#assignments.clear();
    for (const assignment of set.assignments) {
      this.#assignments.set(assignment.taskId, assignment);
      before.add(assignment.taskId);
    }
    for (const taskId of before) this.poke(taskId);
  }

  assignment(taskId: TaskId): Assignment | undefined {
    return this.#assignments.get(taskId);
  }

  assignments(): Iterable<Assignment> {
    return this.#assignments.values();
  }

  /** All assignments, each with the state that it reached here. */
  held(): Assignment[] {
    return [...this.#assignments.values()].map((assignment) => {
      const state = this.#statuses.get(assignment.taskId)?.state;
      return state === undefined ? assignment : { ...assignment, state };
    });
  }

  statuses(): Iterable<TaskStatus> {
    return this.#statuses.values();
  }

  /** Looks at everything that the node knows of, as after the runtime was listed. */
  pokeAll(): void {
    for (const taskId of this.#assignments.keys()) this.poke(taskId);
    for (const taskId of this.#statuses.keys()) this.poke(taskId);
    for (const { taskId } of this.#options.containers.all()) this.poke(taskId);
  }

  /** Takes the steps that are open for a task, unless somebody is at it already. */
  poke(taskId: TaskId): void {
    if (this.#closed || !this.#options.containers.isListed) return;
    const runner = this.#runners.get(taskId) ?? newRunner(this.#options.log, taskId);
    this.#runners.set(taskId, runner);
    runner.dirty = true;
    if (!runner.running) void this.#run(taskId, runner);
  }

  /** Takes no further step; those under way end by themselves. */
  close(): void {
    this.#closed = true;
    for (const runner of this.#runners.values()) runner.retry?.cancel();
  }

  async #run(taskId: TaskId, runner: Runner): Promise<void> {
    runner.running = true;
    while (runner.dirty && !this.#closed) {
      runner.dirty = false;
      let step: Step | undefined;
      try {
        if (this.#options.containers.isDoubtful(taskId)) await this.#options.executor.look(taskId);
        step = this.#nextStep(taskId);
        if (step !== undefined) await this.#take(taskId, step);
        runner.trouble.over();
        if (step === undefined) continue;
        runner.retryMs = 0;
        runner.dirty = true;
      } catch (error) {
        this.#onFailure(taskId, runner, step, error);
      }
    }
    runner.running = false;
    if (runner.retryMs === 0) this.#runners.delete(taskId);
  }

  #nextStep(taskId: TaskId): Step | undefined {
    const assignment = this.#assignments.get(taskId);
    const found = {
      assignment,
      status: this.#statuses.get(taskId),
      container: this.#found(taskId),
      isHeld: assignment !== undefined && this.#options.readiness.isHeld(assignment),
      isCutOff: assignment !== undefined && this.#options.isCutOff(assignment),
    };
    return planStep(found, this.#options.clock.now());
  }

  async #take(taskId: TaskId, step: Step): Promise<void> {
    const assignment = this.#assignments.get(taskId);
    const { executor, readiness } = this.#options;
    switch (step.type) {
      case "report":
        if (step.status.state === "starting") this.#options.onStarting(step.status);
        return this.#setStatus(step.status);
      case "forget":
        this.#statuses.delete(taskId);
        this.#pins.delete(taskId);
        return this.#options.onForget(taskId);
      case "create":
        if (assignment !== undefined) this.#notePin(taskId, await executor.create(assignment));
        return;
      case "start":
        if (assignment === undefined) return;
        await Promise.all([executor.start(assignment), readiness.learn(assignment)]);
        return;
      case "stop":
        return await executor.stop(taskId, step.graceMs);
      case "limit":
        return await this.#limit(taskId, step.limits);
      case "remove":
        return await executor.remove(taskId);
    }
  }

  #found(taskId: TaskId): FoundContainer | undefined {
    const container = this.#options.containers.get(taskId);
    const limits = this.#options.executor.limitsOf(taskId);
    return container === undefined || limits === undefined ? container : { ...container, limits };
  }

  /** What the kernel does not take is told, and not tried again: the task goes on as it was. */
  async #limit(taskId: TaskId, limits: Limits): Promise<void> {
    try {
      await this.#options.executor.limit(taskId, limits);
    } catch (error) {
      if (error instanceof OrchdError && error.code === "unreachable") throw error;
      const status = this.#statuses.get(taskId);
      const message = `its limits stay as they were until it is restarted: ${formatTrouble(error)}`;
      this.#options.log.warn(`task ${taskId}: ${message}`);
      if (status !== undefined) this.#setStatus({ ...status, message: message.slice(0, 1000) });
    }
  }

  #setStatus(status: TaskStatus): void {
    const image = this.#pins.get(status.taskId);
    const told = image === undefined ? status : { ...status, image };
    this.#statuses.set(status.taskId, told);
    this.#options.onStatus(told);
  }

  /** What was found out goes with every later word of the task: any one may get lost. */
  #notePin(taskId: TaskId, pin: ImagePin | undefined): void {
    if (pin !== undefined) this.#pins.set(taskId, pin);
  }

  /**
   * A runtime that does not answer is waited for. Any other failure before a task ran rejects
   * it, so that people see why and the server can try again, or elsewhere, by the restart
   * policy; a stop or removal is tried until it succeeds.
   */
  #onFailure(taskId: TaskId, runner: Runner, step: Step | undefined, error: unknown): void {
    const { clock } = this.#options;
    const final = step?.type === "create" || step?.type === "start";
    if (final && !(error instanceof OrchdError && error.code === "unreachable")) {
      this.#setStatus(this.#rejection(taskId, error));
      runner.dirty = true;
      return;
    }
    runner.retryMs = Math.min(Math.max(RETRY_FIRST_MS, runner.retryMs * 2), RETRY_MAX_MS);
    const what = step?.type ?? "look";
    // A task may wait for weeks, as for a secret of a server that is away: that is logged once.
    const isKnown = final && this.#statuses.get(taskId)?.message === formatTrouble(error);
    const trouble = `task ${taskId}: ${what} is tried again: ${messageChainOf(error)}`;
    if (!isKnown) runner.trouble.note(trouble);
    if (final) this.#tellWhatItWaitsFor(taskId, error);
    runner.retry?.cancel();
    if (!this.#closed) runner.retry = clock.after(runner.retryMs, () => this.poke(taskId));
  }

  /** The same trouble again is nothing new: it is told, and written down, once. */
  #tellWhatItWaitsFor(taskId: TaskId, error: unknown): void {
    const status = this.#statuses.get(taskId);
    const message = formatTrouble(error);
    if (status !== undefined && status.message !== message) this.#setStatus({ ...status, message });
  }

  #rejection(taskId: TaskId, error: unknown): TaskStatus {
    const now = this.#options.clock.now();
    const message = formatTrouble(error);
    return { taskId, state: "rejected", health: "none", message, since: now, finishedAt: now };
  }

  /** Notes what is known of the health of a task that runs; of any other nothing is. */
  setHealth(taskId: TaskId, health: Health, { message = "", ending = false } = {}): void {
    const status = this.#statuses.get(taskId);
    if (status?.state !== "running" || status.ending === true) return;
    // What was asked before it stood still says nothing of it now.
    if (status.held !== undefined) return;
    this.#setStatus({ ...status, health, message, ...(ending ? { ending } : {}) });
    if (ending) this.poke(taskId);
  }

  /** Notes, on the disk first, that a task which runs stands still for a while. */
  hold(taskId: TaskId, held: NonNullable<TaskStatus["held"]>, message: string): void {
    const status = this.#statuses.get(taskId);
    if (status?.state !== "running") return;
    const next: TaskStatus = { ...status, held, message, health: "starting" };
    this.#options.onStarting(next);
    this.#setStatus(next);
  }

  /** A task that stood still goes on, or what became of its container meanwhile is looked at. */
  release(taskId: TaskId): void {
    const status = this.#withoutHold(taskId);
    if (status === undefined) return;
    this.#options.executor.forgetLimits(taskId);
    const container = this.#options.containers.get(taskId);
    const assignment = this.#assignments.get(taskId);
    const isAwaited =
      assignment !== undefined &&
      container !== undefined &&
      (this.#options.readiness.isHeld(assignment) ||
        awaitedPorts(assignment, container).length > 0);
    const startedAt = container?.startedAt ?? status.startedAt;
    const times = startedAt === undefined ? {} : { startedAt };
    const health = isAwaited ? "starting" : "none";
    this.#setStatus({ ...status, message: "", health, ...times });
    this.poke(taskId);
  }

  /** A task that stood still could not be started again: that is a failure of it. */
  failHeld(taskId: TaskId, message: string): void {
    const status = this.#withoutHold(taskId);
    if (status === undefined) return;
    const now = this.#options.clock.now();
    const failed = { state: "failed", health: "none", message, since: now } as const;
    this.#setStatus({ ...status, ...failed, finishedAt: now });
    this.poke(taskId);
  }

  /** Undefined for a task that does not stand still. */
  #withoutHold(taskId: TaskId): TaskStatus | undefined {
    const known = this.#statuses.get(taskId);
    if (known?.held === undefined) return undefined;
    const { held: _, ...status } = known;
    return status;
  }

  status(taskId: TaskId): TaskStatus | undefined {
    return this.#statuses.get(taskId);
  }

  /** Whether a task should get traffic: it runs, is not held back and not asked to end. */
  isServing(taskId: TaskId): boolean {
    const status = this.#statuses.get(taskId);
    if (status?.state !== "running" || !isFit(status.health)) return false;
    return this.#assignments.get(taskId)?.desired === "running";
  }
}

/** An error as the message of a task's status, which is bounded. */
function formatTrouble(error: unknown): string {
  return messageChainOf(error).slice(0, 1000);
}

function newRunner(log: Log, taskId: TaskId): Runner {
  const trouble = new Trouble(log, `task ${taskId} goes on`);
  return { running: false, dirty: false, retryMs: 0, retry: undefined, trouble };
}
