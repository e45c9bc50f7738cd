import type { TaskId } from "../model/ids.ts";
import type { ContainerStatus, Runtime } from "../runtime/driver.ts";

/** What the agent knows of the runtime's containers: a picture kept true by events. */
export class Containers {
  readonly #runtime: Runtime;
  readonly #onChange: (taskId: TaskId) => void;
  readonly #known = new Map<TaskId, ContainerStatus>();
  /** Tasks whose container we made or removed while a list was on its way: it knows less. */
  readonly #touched = new Set<TaskId>();
  /** Tasks for which a call failed that may have done its work all the same. */
  readonly #doubtful = new Set<TaskId>();
  /** Tasks whose container is being started by us. */
  readonly #starting = new Set<TaskId>();
  #listed = false;

  constructor(runtime: Runtime, onChange: (taskId: TaskId) => void) {
    this.#runtime = runtime;
    this.#onChange = onChange;
  }

  /** Whether the picture is complete; before that a missing container means nothing. */
  get isListed(): boolean {
    return this.#listed;
  }

  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  get(taskId: TaskId): ContainerStatus | undefined {
    return this.#known.get(taskId);
  }

  all(): Iterable<ContainerStatus> {
    return this.#known.values();
  }

  set(status: ContainerStatus): void {
    this.#touched.add(status.taskId);
    this.#known.set(status.taskId, status);
  }

  delete(taskId: TaskId): void {
    this.#touched.add(taskId);
    this.#known.delete(taskId);
  }

  /** Notes that a start of ours is under way: the event of it is no news. */
  noteStarting(taskId: TaskId): void {
    this.#starting.add(taskId);
  }

  /** Notes a start of ours, unless the container has ended in the meantime. */
  noteStarted(taskId: TaskId, now: number): void {
    this.#starting.delete(taskId);
    const known = this.#known.get(taskId);
    if (known?.state === "created") this.set({ ...known, state: "running", startedAt: now });
  }

  /** Says that the picture of a container may be wrong until it was looked at afresh. */
  doubt(taskId: TaskId): void {
    this.#doubtful.add(taskId);
  }

  isDoubtful(taskId: TaskId): boolean {
    return this.#doubtful.has(taskId);
  }

  /** Looks at one container afresh. */
  async refresh(taskId: TaskId): Promise<void> {
    const found = await this.#runtime.inspect(taskId);
    this.#doubtful.delete(taskId);
    this.#starting.delete(taskId);
    if (found === undefined) this.delete(taskId);
    else this.set(found);
  }

  /**
   * Follows the runtime until `signal` aborts.
   * @param onListed called when everything was looked at afresh: at first and after each gap
   */
  async watch(signal: AbortSignal, onListed: () => void): Promise<void> {
    for await (const event of this.#runtime.events(signal)) {
      if (event.type === "resync") {
        await this.#relist();
        onListed();
      } else if (event.type === "removed") this.#onRemoved(event.taskId, event.containerId);
      else if (event.type === "exited") await this.#look(event.taskId);
      else if (!this.#isKnownToRun(event.taskId)) await this.#look(event.taskId);
    }
  }

  async #relist(): Promise<void> {
    this.#touched.clear();
    const found = new Map((await this.#runtime.list()).map((status) => [status.taskId, status]));
    const changed = new Set([...this.#known.keys(), ...found.keys()]);
    for (const taskId of changed) {
      if (this.#touched.has(taskId)) continue;
      const status = found.get(taskId);
      if (status === undefined) this.#known.delete(taskId);
      else this.#known.set(taskId, status);
    }
    this.#listed = true;
  }

  #onRemoved(taskId: TaskId, containerId: string): void {
    if (this.#known.get(taskId)?.containerId !== containerId) return;
    this.delete(taskId);
    this.#onChange(taskId);
  }

  #isKnownToRun(taskId: TaskId): boolean {
    return this.#starting.has(taskId) || this.#known.get(taskId)?.state === "running";
  }

  async #look(taskId: TaskId): Promise<void> {
    await this.refresh(taskId);
    this.#onChange(taskId);
  }
}
