import type { Clock, Timer } from "../lib/clock.ts";
import type { TaskId } from "../model/ids.ts";

const FIRST_PAUSE_MS = 5;
const PAUSE_MAX_MS = 250;
/** A program that has not answered by then may never do so on purpose: it is not held back. */
export const ANSWER_WITHIN_MS = 5000;

export interface FirstAnswerOptions {
  clock: Clock;
  takesConnections: (address: string, port: number) => Promise<boolean>;
  /** Called once for a task: every port has answered, or the time is over. */
  onAnswer: (taskId: TaskId) => void;
}

/**
 * Waits until a new task's program takes connections on the ports that it publishes. A container
 * runs some moments before its program listens, and a rollout must not send clients there.
 */
export class FirstAnswer {
  readonly #options: FirstAnswerOptions;
  readonly #waiting = new Map<TaskId, Timer | undefined>();

  constructor(options: FirstAnswerOptions) {
    this.#options = options;
  }

  /** Begins to try, unless it is at it already. */
  await(taskId: TaskId, address: string, ports: readonly number[]): void {
    if (this.#waiting.has(taskId)) return;
    this.#waiting.set(taskId, undefined);
    const until = this.#options.clock.now() + ANSWER_WITHIN_MS;
    void this.#try(taskId, address, ports, until, FIRST_PAUSE_MS);
  }

  /** Stops trying for a task that ended. */
  forget(taskId: TaskId): void {
    this.#waiting.get(taskId)?.cancel();
    this.#waiting.delete(taskId);
  }

  close(): void {
    for (const taskId of this.#waiting.keys()) this.forget(taskId);
  }

  async #try(
    taskId: TaskId,
    address: string,
    ports: readonly number[],
    until: number,
    pauseMs: number,
  ): Promise<void> {
    const { clock, takesConnections, onAnswer } = this.#options;
    const answers = await Promise.all(ports.map((port) => takesConnections(address, port)));
    if (!this.#waiting.has(taskId)) return;
    const silent = ports.filter((_, i) => answers[i] !== true);
    if (silent.length === 0 || clock.now() >= until) {
      this.forget(taskId);
      onAnswer(taskId);
      return;
    }
    const again = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    const retry = () => void this.#try(taskId, address, silent, until, again);
    this.#waiting.set(taskId, clock.after(pauseMs, retry));
  }
}
