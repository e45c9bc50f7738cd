import type { Clock } from "../lib/clock.ts";
import type { TaskId } from "../model/ids.ts";

/**
 * By then a word of gossip is everywhere, and tables follow it, which nobody acknowledges: at the
 * 99th percentile it took 430 ms among twenty nodes on two cores.
 */
const FOLLOWED_AFTER_MS = 500;

/** What leads packets to tasks. */
export interface Tables {
  /** Whether other nodes may lead some to this task of the node. */
  isLedTo(taskId: TaskId): boolean;
  /** Resolves when this node's tables follow what is true of its tasks, or can't be made to. */
  keepUp(): Promise<void>;
}

export interface WithdrawalOptions {
  clock: Clock;
  /** Absent where tasks have no network. */
  tables: () => Tables | undefined;
}

/** Tasks on their way out: no new connection goes to them. */
export class Withdrawal {
  readonly #options: WithdrawalOptions;
  readonly #ids = new Set<TaskId>();

  constructor(options: WithdrawalOptions) {
    this.#options = options;
  }

  get ids(): ReadonlySet<TaskId> {
    return this.#ids;
  }

  /** Resolves when the task is out of all nodes' tables. It ends all the same where it is not. */
  async withdraw(taskId: TaskId): Promise<void> {
    const { clock, tables } = this.#options;
    const own = tables();
    const isLedTo = own?.isLedTo(taskId) ?? false;
    this.#ids.add(taskId);
    await own?.keepUp();
    if (isLedTo) await new Promise<void>((go) => clock.after(FOLLOWED_AFTER_MS, go));
  }

  forget(taskId: TaskId): void {
    this.#ids.delete(taskId);
  }
}
