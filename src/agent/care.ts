import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { NodeDisk } from "../model/disk.ts";
import type { Happening } from "../model/event.ts";
import type { NodeId } from "../model/ids.ts";
import type { NodeFacts } from "../model/node.ts";
import type { VolumeCalls } from "../model/volume.ts";
import type { Runtime } from "../runtime/driver.ts";
import type { BindRules } from "./bind-rules.ts";
import type { Containers } from "./containers.ts";
import { DiskCare } from "./disk-care.ts";
import type { ExecutorOptions } from "./executor.ts";
import { WaitingHappenings } from "./happenings.ts";
import { AgentVolumes } from "./volumes/agent-volumes.ts";
import type { Worker } from "./worker.ts";

/** What an agent is told of its machine that concerns data. */
export interface KeptOnMachine {
  /** Where the agent keeps what survives it; absent where there is no such place. */
  dataDir?: string;
  /** Directories on the disks that are looked after; absent means that nobody does. */
  diskPaths?: readonly string[];
  /** What of the machine tasks may mount; absent means everything. */
  binds?: BindRules;
}

export interface AgentCareOptions extends KeptOnMachine {
  clock: Clock;
  log: Log;
  runtime: Runtime;
  containers: Containers;
  nodeId: NodeId;
  facts: NodeFacts;
  /** There once the agent is. */
  worker(): Worker;
  onDisk(disk: NodeDisk): void;
  /** Answers whether a server hears it. */
  tell(happenings: readonly Happening[]): boolean;
}

/** What keeps data safe on a node beside its tasks: volumes, backups, room on the disk. */
export class AgentCare {
  readonly #binds: BindRules;
  readonly #happenings: WaitingHappenings;
  readonly #volumes: AgentVolumes;
  readonly #disk: DiskCare | undefined;

  constructor(options: AgentCareOptions) {
    const { clock, log, runtime, containers, dataDir, diskPaths, nodeId, facts } = options;
    const { binds = { allowed: undefined, own: [] } } = options;
    this.#binds = binds;
    this.#happenings = new WaitingHappenings((all) => options.tell(all));
    this.#volumes = new AgentVolumes({
      clock,
      log,
      runtime,
      containers,
      worker: () => options.worker(),
      dataDir,
      binds,
      node: { ...facts, id: nodeId },
      onHappening: (happening) => this.#happenings.add(happening),
    });
    if (diskPaths === undefined) return;
    const disk = {
      clock,
      log,
      upkeep: runtime.upkeep,
      paths: diskPaths,
      containerIds: () => [...containers.all()].map(({ containerId }) => containerId),
      imagesInUse: () => [...options.worker().assignments()].map((one) => one.container.image),
      onChange: (news: NodeDisk) => options.onDisk(news),
    };
    this.#disk = new DiskCare(disk, facts.disk);
  }

  /** What the server asks of volumes. */
  get volumes(): VolumeCalls {
    return this.#volumes.calls;
  }

  /** Whether a task of the node may hold the volume. */
  mayHold(volume: string): boolean {
    return this.#volumes.mayHold(volume);
  }

  /** What a task waits for, or is refused by, before its container is made. */
  forTasks(): Pick<ExecutorOptions, "volumes" | "binds" | "requireRoom"> {
    return {
      volumes: this.#volumes.calls,
      binds: this.#binds,
      requireRoom: () => this.#disk?.requireRoom(),
    };
  }

  /** The node's own disk told what is assigned. */
  onRestored(): void {
    this.#volumes.onRestored();
    this.#disk?.start();
  }

  /** What the runtime has was looked at. */
  onListed(): void {
    this.#volumes.onListed();
  }

  /** A set of this generation is assigned. */
  onSet(generation: number): void {
    this.#volumes.onSet(generation);
    this.#happenings.flush();
  }

  /** @param dropCopies makes room first with what can be had again */
  async pruneImages(
    keep: readonly string[],
    dropCopies?: () => Promise<number> | undefined,
  ): Promise<string[]> {
    return (await this.#disk?.pruneImages(keep, dropCopies)) ?? [];
  }

  close(): void {
    this.#volumes.close();
    this.#disk?.close();
  }
}
