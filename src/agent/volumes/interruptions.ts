import type { Clock, Timer } from "../../lib/clock.ts";
import { messageChainOf } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Assignment } from "../../model/assignment.ts";
import type { TaskId } from "../../model/ids.ts";
import { volumesOfAssignment } from "../../model/task-volumes.ts";
import { isTerminal, type TaskStatus } from "../../model/task.ts";
import type { TemplateNode } from "../../model/template-context.ts";
import type { Runtime } from "../../runtime/driver.ts";
import type { Containers } from "../containers.ts";

/**
 * For so long tasks stand still of which nobody knows whether their volume is on another node by
 * now: a server that was killed is back by then. After it they go on here.
 */
const DOUBT_MS = 60_000;

export type Held = NonNullable<TaskStatus["held"]>;

/** What interrupting needs of the rest of the agent. */
export interface HeldTasks {
  assignment(taskId: TaskId): Assignment | undefined;
  assignments(): Iterable<Assignment>;
  status(taskId: TaskId): TaskStatus | undefined;
  statuses(): Iterable<TaskStatus>;
  /** Notes, on the disk first, that the task stands still; throws where that can't be saved. */
  hold(taskId: TaskId, held: Held, message: string): void;
  /** The task goes on, or ends as its container did. */
  release(taskId: TaskId): void;
  /** It could not be started again. */
  failHeld(taskId: TaskId, message: string): void;
}

export interface InterruptionsOptions {
  clock: Clock;
  log: Log;
  runtime: Runtime;
  containers: Containers;
  tasks: HeldTasks;
  node: TemplateNode;
}

/** Tasks that stand still for a while. */
export interface Interruption {
  /** They go on. */
  end(): Promise<void>;
  /**
   * Whether they go on is for the server to say, by a set of this generation or a later one;
   * undefined: by the next set at all. Where none comes they go on after a minute.
   */
  leave(generation?: number): void;
}

/**
 * Stops or freezes the tasks that use a volume, and lets them go on afterwards: the same tasks in
 * the same containers, since nothing has ended. That they stand still is on the disk before they
 * do, so that the next life of an agent that is killed meanwhile lets them go on.
 */
export class Interruptions {
  readonly #options: InterruptionsOptions;
  /** Tasks that somebody lets go on when he is done. */
  readonly #active = new Set<TaskId>();
  /** Tasks that wait for a set, with the generation from which it counts. */
  readonly #doubtful = new Map<TaskId, { from: number; timer: Timer }>();

  constructor(options: InterruptionsOptions) {
    this.#options = options;
  }

  /** Tasks of this node that run and use the volume. */
  usersOf(volume: string): Assignment[] {
    const { tasks, node } = this.#options;
    return [...tasks.assignments()].filter(
      (assignment) =>
        tasks.status(assignment.taskId)?.state === "running" &&
        volumesOfAssignment(assignment, node).some((mount) => mount.volume === volume),
    );
  }

  /**
   * Lets the users of a volume stand still, all of them or none.
   * @throws OrchdError when one of them does not
   */
  async begin(volume: string, held: Held): Promise<Interruption> {
    const begun: TaskId[] = [];
    const interruption = {
      end: () => this.#goOn(begun),
      leave: (generation?: number) => this.#leave(begun, generation),
    };
    try {
      for (const { taskId, container } of this.usersOf(volume)) {
        if (this.#options.tasks.status(taskId)?.held !== undefined) continue;
        this.#active.add(taskId);
        begun.push(taskId);
        await this.#halt(taskId, held, volume, container.stopGraceMs);
      }
      return interruption;
    } catch (error) {
      await interruption.end();
      throw error;
    }
  }

  /** What an earlier life of the agent let stand still. */
  async resumeLeft(): Promise<void> {
    for (const { taskId, held } of Array.from(this.#options.tasks.statuses())) {
      if (held === undefined || this.#active.has(taskId) || this.#doubtful.has(taskId)) continue;
      if (held === "moving") this.#doubt(taskId, 0);
      else await this.#goOn([taskId]);
    }
  }

  /** A set has come: whoever waited for it goes on, or was told to end. */
  onSet(generation: number): void {
    for (const [taskId, { from }] of this.#doubtful) {
      if (generation >= from) void this.#settle(taskId);
    }
  }

  close(): void {
    for (const { timer } of this.#doubtful.values()) timer.cancel();
    this.#doubtful.clear();
  }

  async #halt(taskId: TaskId, held: Held, volume: string, graceMs: number): Promise<void> {
    const { runtime, tasks, containers } = this.#options;
    tasks.hold(taskId, held, MESSAGES[held](volume));
    if (held === "frozen") return runtime.freeze(taskId);
    await runtime.stop(taskId, graceMs);
    await containers.refresh(taskId);
  }

  async #goOn(taskIds: readonly TaskId[]): Promise<void> {
    for (const taskId of taskIds) {
      try {
        await this.#wake(taskId);
        this.#options.tasks.release(taskId);
      } catch (error) {
        const message = `it was not started again: ${messageChainOf(error)}`.slice(0, 1000);
        this.#options.log.error(`task ${taskId}: ${message}`);
        this.#options.tasks.failHeld(taskId, message);
      } finally {
        this.#active.delete(taskId);
      }
    }
  }

  /** A task that has ended meanwhile, or was told to, is nobody's to start. */
  async #wake(taskId: TaskId): Promise<void> {
    const { runtime, tasks, containers } = this.#options;
    const status = tasks.status(taskId);
    if (status?.held === "frozen") {
      await runtime.thaw(taskId);
      return;
    }
    const isWanted = tasks.assignment(taskId)?.desired === "running";
    if (!isWanted || status === undefined || isTerminal(status.state)) return;
    await containers.refresh(taskId);
    if (containers.get(taskId)?.state !== "exited") return;
    containers.noteStarting(taskId);
    await runtime.start(taskId);
    await containers.refresh(taskId);
  }

  #leave(taskIds: readonly TaskId[], generation = 0): void {
    for (const taskId of taskIds) {
      this.#active.delete(taskId);
      this.#doubt(taskId, generation);
    }
  }

  #doubt(taskId: TaskId, from: number): void {
    const timer = this.#options.clock.after(DOUBT_MS, () => void this.#settle(taskId));
    this.#doubtful.set(taskId, { from, timer });
  }

  async #settle(taskId: TaskId): Promise<void> {
    this.#doubtful.get(taskId)?.timer.cancel();
    this.#doubtful.delete(taskId);
    await this.#goOn([taskId]);
  }
}

const MESSAGES: Record<Held, (volume: string) => string> = {
  stopped: (volume) => `stopped for a while: its volume ${volume} is being read or written`,
  frozen: (volume) => `frozen for a while: its volume ${volume} is being read`,
  moving: (volume) => `stopped: its volume ${volume} is being moved to another node`,
};
