import { OrchdError } from "../../src/lib/errors.ts";
import type { AgentMemory } from "../../src/agent/agent-options.ts";
import type { AssignmentSet } from "../../src/model/assignment.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { NetworkMap } from "../../src/model/network-map.ts";
import type { TaskStatus } from "../../src/model/task.ts";

/** What one agent has on its disk. */
export interface AgentDisk {
  set: AssignmentSet | undefined;
  statuses: Map<TaskId, TaskStatus>;
  map?: NetworkMap;
  contents?: Map<string, string>;
}

export interface AgentStateOptions {
  /** Whether the disk refuses the next write. */
  refuses: () => boolean;
  /** A set is about to be in place of the one before it. */
  onSet: (set: AssignmentSet, before: AssignmentSet | undefined) => void;
}

/** An agent's memory whose every write is durable when it returns, until its process is killed. */
export class SimulatedAgentState implements AgentMemory {
  readonly #disk: AgentDisk;
  readonly #options: AgentStateOptions;
  #killed = false;

  constructor(disk: AgentDisk, options: AgentStateOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  kill(): void {
    this.#killed = true;
  }

  assignments(): AssignmentSet | undefined {
    return this.#disk.set;
  }

  saveAssignments(set: AssignmentSet): void {
    this.#write(() => {
      this.#options.onSet(set, this.#disk.set);
      this.#disk.set = set;
    });
  }

  statuses(): TaskStatus[] {
    return [...this.#disk.statuses.values()];
  }

  saveStatus(statuses: readonly TaskStatus[]): void {
    this.#write(() => {
      for (const status of statuses) this.#disk.statuses.set(status.taskId, status);
    });
  }

  deleteStatus(taskIds: readonly TaskId[]): void {
    this.#write(() => taskIds.forEach((taskId) => this.#disk.statuses.delete(taskId)));
  }

  networkMap(): NetworkMap | undefined {
    return this.#disk.map;
  }

  saveNetworkMap(map: NetworkMap): void {
    this.#write(() => (this.#disk.map = map));
  }

  contentIds(): string[] {
    return [...this.#contents.keys()];
  }

  loadContent(id: string): string | undefined {
    return this.#contents.get(id);
  }

  saveContent(id: string, sealed: string): void {
    this.#write(() => this.#contents.set(id, sealed));
  }

  deleteContents(ids: readonly string[]): void {
    this.#write(() => ids.forEach((id) => this.#contents.delete(id)));
  }

  get #contents(): Map<string, string> {
    return (this.#disk.contents ??= new Map());
  }

  /** What a killed process still computes in this simulation reaches no disk. */
  #write(run: () => void): void {
    if (this.#killed) return;
    if (this.#options.refuses())
      throw new OrchdError("noSpace", "the disk is full", { retryable: true });
    run();
  }
}
