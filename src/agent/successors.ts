import type { Clock, Timer } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import { decideRestart, dueAt } from "../core/reconcile/restart.ts";
import type { Assignment } from "../model/assignment.ts";
import type { TaskId } from "../model/ids.ts";
import type { Successor } from "../model/successor.ts";
import { isTerminal, type TaskStatus } from "../model/task.ts";

export interface SuccessorsOptions {
  clock: Clock;
  random: Random;
  /** Whether a server decides now. */
  isLed(): boolean;
  assignments(): Iterable<Assignment>;
  status(taskId: TaskId): TaskStatus | undefined;
  /** Puts `made` in the place of `given`, or beside it; throws where that can't be saved yet. */
  place(made: Assignment, given: Assignment): void;
  /** Ends a task that runs, and says why. */
  end(taskId: TaskId, message: string): void;
}

const RETRY_MS = 5000;
/** A machine's clock may be put right meanwhile, by years. */
const DEADLINE_LOOK_MS = 60_000;

/**
 * Goes on with the slots of this node while no server is in reach: when a task has ended, the next
 * attempt is made here, by the service's own restart policy, and a job's tasks end at its deadline.
 * A server that is back takes them up.
 */
export class Successors {
  readonly #options: SuccessorsOptions;
  readonly #timers = new Map<TaskId, Timer>();

  constructor(options: SuccessorsOptions) {
    this.#options = options;
  }

  /** Looks at every task: after a start, and when the server went out of reach. */
  considerAll(): void {
    for (const { taskId } of Array.from(this.#options.assignments())) this.consider(taskId);
  }

  /** Looks at a task: ends it at its deadline, or makes the attempt after it when that is due. */
  consider(taskId: TaskId): void {
    const { clock } = this.#options;
    this.#timers.get(taskId)?.cancel();
    this.#timers.delete(taskId);
    if (this.#options.isLed()) return;
    const assignment = this.#find((one) => one.taskId === taskId);
    if (assignment?.desired !== "running") return;
    const status = this.#options.status(taskId);
    if (!isTerminal(status?.state ?? "assigned")) return this.#keepDeadline(assignment);
    const due = this.#due(assignment, status);
    if (due === undefined) return;
    const delayMs = due.at - clock.now();
    if (delayMs > 0) return this.#lookAgain(taskId, delayMs);
    const { ended, failures } = due;
    try {
      this.#options.place(this.#successorOf(assignment, ended, failures), assignment);
    } catch {
      // A full disk passes, and `place` has said so: what is not saved is not started.
      this.#lookAgain(taskId, RETRY_MS);
    }
  }

  /** What a server has to know of those that were made here. */
  made(): Successor[] {
    const found: Successor[] = [];
    for (const { taskId, predecessor, failures } of this.#options.assignments()) {
      if (predecessor === undefined) continue;
      const { ended, createdAt } = predecessor;
      found.push({ taskId, predecessor: ended.taskId, ended, failures, createdAt });
    }
    return found;
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #lookAgain(taskId: TaskId, delayMs: number): void {
    this.#timers.set(
      taskId,
      this.#options.clock.after(delayMs, () => this.consider(taskId)),
    );
  }

  #keepDeadline({ taskId, endsAt }: Assignment): void {
    if (endsAt === undefined) return;
    const leftMs = endsAt - this.#options.clock.now();
    this.#lookAgain(taskId, leftMs > 0 ? Math.min(leftMs, DEADLINE_LOOK_MS) : DEADLINE_LOOK_MS);
    if (leftMs <= 0) this.#options.end(taskId, "its job's time is over");
  }

  /** When the task's slot gets its next attempt; undefined when it does not, or has it. */
  #due(assignment: Assignment, ended: TaskStatus | undefined) {
    const { taskId, restart, endsAt = Number.POSITIVE_INFINITY } = assignment;
    if (restart === undefined || ended === undefined || ended.state === "removed") return undefined;
    if (!isBound(assignment, ended)) return undefined;
    const hasNext = this.#find(
      ({ serviceId, slot, taskId: other, desired }) =>
        serviceId === assignment.serviceId &&
        slot === assignment.slot &&
        other !== taskId &&
        desired === "running" &&
        !isTerminal(this.#options.status(other)?.state ?? "assigned"),
    );
    if (hasNext !== undefined) return undefined;
    const decision = decideRestart({ ...ended, failures: assignment.failures }, restart);
    if (decision.type !== "retry") return undefined;
    const at = dueAt(decision, this.#options.clock.now());
    return at < endsAt ? { ended, failures: decision.failures, at } : undefined;
  }

  #find(test: (assignment: Assignment) => boolean): Assignment | undefined {
    for (const assignment of this.#options.assignments()) if (test(assignment)) return assignment;
    return undefined;
  }

  /** The next attempt: of a task that was made here as well, the last one that a server knows. */
  #successorOf(assignment: Assignment, ended: TaskStatus, failures: number): Assignment {
    const { clock, random } = this.#options;
    return {
      ...assignment,
      taskId: newId<"task">(random),
      state: "assigned",
      failures,
      predecessor: {
        ended: assignment.predecessor?.ended ?? ended,
        createdAt: clock.now(),
      },
    };
  }
}

/**
 * Whether the slot's next attempt is sure to be here. Where it is to be where it starts first, its
 * server may have let it go elsewhere after an attempt that never started.
 */
function isBound({ unbound, predecessor }: Assignment, ended: TaskStatus): boolean {
  if (unbound !== true) return true;
  return (ended.startedAt ?? predecessor?.ended.startedAt) !== undefined;
}
