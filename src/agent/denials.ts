import type { Clock, Timer } from "../lib/clock.ts";
import type { TaskNotice } from "../core/network/task-notice.ts";
import type { TaskId } from "../model/ids.ts";

/** Whatever is heard meanwhile is answered at once: a flood of lies brings no flood of answers. */
const WAIT_MS = 200;
/** Of so many tasks at a time; of others the map tells again. */
const TASKS_MAX = 64;

export interface DenialsOptions {
  clock: Clock;
  /** Tells all what is true of these tasks, with a higher version than `above`. */
  deny(ids: ReadonlySet<TaskId>, above: number): void;
}

/**
 * What somebody else told of this node's tasks in its name. Gossip proves no sender, so the node
 * contradicts, as a member refutes that it is dead.
 */
export class Denials {
  readonly #options: DenialsOptions;
  #ids = new Set<TaskId>();
  #above = 0;
  #timer: Timer | undefined;

  constructor(options: DenialsOptions) {
    this.#options = options;
  }

  note({ version, tasks }: TaskNotice): void {
    this.#above = Math.max(this.#above, version);
    for (const { id } of tasks) if (this.#ids.size < TASKS_MAX) this.#ids.add(id);
    this.#timer ??= this.#options.clock.after(WAIT_MS, () => this.#deny());
  }

  close(): void {
    this.#timer?.cancel();
  }

  #deny(): void {
    const ids = this.#ids;
    this.#ids = new Set();
    this.#timer = undefined;
    this.#options.deny(ids, this.#above);
  }
}
