import { watch, type FSWatcher } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import type { TaskId } from "../../model/ids.ts";
import type { RuntimeEvent } from "../driver.ts";
import { Queue } from "../queue.ts";
import { type ProcessFiles, taskOfFile } from "./process-files.ts";
import type { ProcessLife } from "./process-life.ts";

/** A process whose monitor was killed as well tells nobody of its end. */
const LOOK_MS = 2000;
const SOON_MS = 100;

/**
 * What becomes of processes. Each monitor writes its process's end into the directory of all tasks,
 * which is watched; who removes a task by hand removes its directory from there.
 */
export class ProcessEvents {
  readonly #files: ProcessFiles;
  readonly #life: ProcessLife;
  readonly #clock: Clock;
  readonly #readers = new Set<Queue<RuntimeEvent>>();
  /** What was told last of tasks that are not gone. */
  readonly #told = new Map<TaskId, "created" | "running" | "exited">();
  #watcher: FSWatcher | undefined;
  #timer: { cancel(): void } | undefined;

  constructor(files: ProcessFiles, life: ProcessLife, clock: Clock) {
    this.#files = files;
    this.#life = life;
    this.#clock = clock;
  }

  async *read(signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
    const queue = new Queue<RuntimeEvent>();
    const close = () => queue.close();
    this.#begin();
    this.#readers.add(queue);
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    queue.push({ type: "resync" });
    try {
      yield* queue;
    } finally {
      signal.removeEventListener("abort", close);
      this.#readers.delete(queue);
      if (this.#readers.size === 0) this.close();
    }
  }

  /** Tells what has become of a task since it was told of last. */
  look(taskId: TaskId): void {
    const before = this.#told.get(taskId);
    const state = this.#life.status(taskId)?.state;
    if (state === before) return;
    if (state === undefined) this.#told.delete(taskId);
    else this.#told.set(taskId, state);
    const tell = (type: "started" | "exited" | "removed") => {
      for (const queue of this.#readers) queue.push({ type, taskId, containerId: taskId });
    };
    if (state === undefined) tell("removed");
    if (state === "running") tell("started");
    if (state === "exited") tell("exited");
  }

  /** Nobody has to be told of what is there already. */
  note(taskId: TaskId): void {
    const state = this.#life.status(taskId)?.state;
    if (state !== undefined) this.#told.set(taskId, state);
  }

  close(): void {
    this.#timer?.cancel();
    this.#watcher?.close();
    this.#watcher = undefined;
    for (const queue of this.#readers) queue.close();
  }

  #begin(): void {
    if (this.#watcher !== undefined) return;
    for (const taskId of this.#files.all()) this.note(taskId);
    try {
      this.#watcher = watch(this.#files.directory, (_event, name) => {
        const taskId = name === null ? undefined : taskOfFile(name);
        if (taskId === undefined) return this.#lookAtAll();
        if (!this.#told.has(taskId)) return;
        this.look(taskId);
        // Its monitor is about to say more, and of several changes at once one may be told.
        if (this.#told.get(taskId) === "running") this.#lookLater(SOON_MS);
      });
      this.#watcher.on("error", () => this.#lookAtAll());
    } catch {
      // No more watches to be had: looking now and then does.
    }
    this.#lookLater();
  }

  #lookLater(delayMs = LOOK_MS): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(delayMs, () => {
      this.#lookAtAll();
      this.#lookLater();
    });
  }

  #lookAtAll(): void {
    for (const taskId of this.#told.keys()) this.look(taskId);
  }
}
