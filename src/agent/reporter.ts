import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";
import type { TaskId } from "../model/ids.ts";
import { rankOf, type TaskStatus } from "../model/task.ts";

const RETRY_MS = 1000;

export interface ReporterOptions {
  clock: Clock;
  log: Log;
  /** Keeps statuses on the node's own disk. */
  save(statuses: TaskStatus[]): void;
  /** Hands statuses to the server; rejects while the server can't take them. */
  send(statuses: TaskStatus[]): Promise<void>;
}

/**
 * Brings statuses to the node's disk and to the server, in batches: what comes in while one batch
 * travels goes with the next, and of one task only the latest status. Nothing is lost while the
 * server is away: the latest status of each task waits.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #unsent = new Map<TaskId, TaskStatus>();
  readonly #unsaved = new Map<TaskId, TaskStatus>();
  readonly #saveTrouble: Trouble;
  readonly #sendTrouble: Trouble;
  #sending = false;
  #retry: Timer | undefined;
  #closed = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#saveTrouble = new Trouble(options.log, "statuses are on disk again", "error");
    this.#sendTrouble = new Trouble(options.log, "the server takes statuses again");
  }

  /**
   * Takes a status. On disk only what must outlive the agent is kept: that a task runs, and how
   * it ended. What comes before is saved by whoever starts it, or found again from the container.
   */
  report(status: TaskStatus): void {
    if (this.#closed) return;
    if (this.#unsent.size === 0) queueMicrotask(() => this.flush());
    this.#unsent.set(status.taskId, status);
    if (rankOf(status.state) < rankOf("running")) return;
    if (this.#unsaved.size === 0) queueMicrotask(() => this.#save());
    this.#unsaved.set(status.taskId, status);
  }

  /** Sends everything that waits; called again when the server is back. */
  flush(): void {
    if (this.#closed) return;
    this.#save();
    if (this.#sending || this.#unsent.size === 0) return;
    const batch = [...this.#unsent.values()];
    this.#unsent.clear();
    this.#sending = true;
    void this.#options.send(batch).then(
      () => this.#sent(),
      (error: unknown) => this.#failed(batch, error),
    );
  }

  /** Saves what waits and takes nothing more: the next agent finds the rest by itself. */
  close(): void {
    this.#save();
    this.#closed = true;
    this.#retry?.cancel();
  }

  #save(): void {
    if (this.#unsaved.size === 0) return;
    try {
      this.#options.save([...this.#unsaved.values()]);
      this.#unsaved.clear();
      this.#saveTrouble.over();
    } catch (error) {
      // A full disk: what is known stays in memory and is saved with the next batch that fits.
      this.#saveTrouble.note(`statuses are not on disk yet: ${messageChainOf(error)}`);
      this.#retryLater();
    }
  }

  #sent(): void {
    this.#sending = false;
    this.#sendTrouble.over();
    this.flush();
  }

  #failed(batch: TaskStatus[], error: unknown): void {
    this.#sending = false;
    if (this.#closed) return;
    for (const status of batch) {
      if (!this.#unsent.has(status.taskId)) this.#unsent.set(status.taskId, status);
    }
    this.#sendTrouble.note(`statuses wait for the server: ${messageChainOf(error)}`);
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retry?.cancel();
    if (this.#closed) return;
    this.#retry = this.#options.clock.after(RETRY_MS, () => this.flush());
  }
}
