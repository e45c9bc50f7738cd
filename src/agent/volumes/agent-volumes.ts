import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Happening } from "../../model/event.ts";
import { backupsOfAssignment } from "../../model/task-volumes.ts";
import type { TemplateNode } from "../../model/template-context.ts";
import type { Runtime } from "../../runtime/driver.ts";
import { type BindRules, requireAllowed } from "../bind-rules.ts";
import type { Containers } from "../containers.ts";
import type { Worker } from "../worker.ts";
import { Interruptions } from "./interruptions.ts";
import { NodeVolumes } from "./node-volumes.ts";
import { VolumeBackups } from "./volume-backups.ts";

export interface AgentVolumesOptions {
  clock: Clock;
  log: Log;
  runtime: Runtime;
  containers: Containers;
  /** There once the agent is. */
  worker(): Worker;
  /** Where the agent keeps what survives it; undefined where there is no such place. */
  dataDir: string | undefined;
  binds: BindRules;
  node: TemplateNode;
  onHappening(happening: Happening): void;
}

/** All that an agent does with volumes, beside mounting them. */
export class AgentVolumes {
  /** What the server asks for. */
  readonly calls: NodeVolumes;
  readonly #options: AgentVolumesOptions;
  readonly #interruptions: Interruptions;
  readonly #backups: VolumeBackups;

  constructor(options: AgentVolumesOptions) {
    const { clock, log, runtime, containers, dataDir, binds, node } = options;
    this.#options = options;
    this.#interruptions = new Interruptions({
      clock,
      log,
      runtime,
      containers,
      node,
      tasks: {
        assignment: (taskId) => options.worker().assignment(taskId),
        assignments: () => options.worker().assignments(),
        status: (taskId) => options.worker().status(taskId),
        statuses: () => options.worker().statuses(),
        hold: (taskId, held, message) => options.worker().hold(taskId, held, message),
        release: (taskId) => options.worker().release(taskId),
        failHeld: (taskId, message) => options.worker().failHeld(taskId, message),
      },
    });
    this.calls = new NodeVolumes({ log, runtime, interruptions: this.#interruptions, node });
    this.#backups = new VolumeBackups({
      clock,
      log,
      volumes: this.calls,
      directory: dataDir === undefined ? undefined : join(dataDir, "volume-backups"),
      hostname: node.hostname,
      checkDirectory: (path) => requireAllowed(path, binds),
      onHappening: (happening) => options.onHappening(happening),
    });
  }

  /** The node's own disk told what is assigned. */
  onRestored(): void {
    this.#planBackups();
  }

  /** What is there was looked at: tasks that an earlier life let stand still go on. */
  onListed(): void {
    void this.#interruptions.resumeLeft();
  }

  /** A set of this generation is assigned. */
  onSet(generation: number): void {
    this.#interruptions.onSet(generation);
    this.#planBackups();
  }

  /**
   * Whether somebody reads or writes the volume, a task holds it, or one may do so since nothing
   * but its container is known.
   */
  mayHold(volume: string): boolean {
    const { containers } = this.#options;
    const worker = this.#options.worker();
    if (!containers.isListed || this.calls.isBusy(volume)) return true;
    return [...containers.all()].some(({ taskId }) => {
      const assignment = worker.assignment(taskId);
      if (assignment === undefined) return true;
      return this.calls.namesOf(assignment).includes(volume);
    });
  }

  close(): void {
    this.#interruptions.close();
    this.#backups.close();
  }

  #planBackups(): void {
    const { node } = this.#options;
    const called = [...this.#options.worker().assignments()].map((assignment) => {
      return { ...assignment, backups: backupsOfAssignment(assignment, node) };
    });
    this.#backups.plan(called);
  }
}
