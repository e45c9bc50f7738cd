import type { Limits, Mount } from "../model/container.ts";
import type { TaskId } from "../model/ids.ts";
import type { Healthcheck } from "../model/probe.ts";
import type {
  ExecOptions,
  ExecSession,
  ImageSummary,
  LogLine,
  LogOptions,
} from "../model/session.ts";
import type { NodeUsage } from "../model/usage.ts";
import type { NodeVolume } from "../model/volume.ts";
import type {
  BridgeNetwork,
  CommandOptions,
  CommandResult,
  ContainerStatus,
  CreateOptions,
  ImageIdentity,
  Runtime,
  RuntimeEvent,
  RuntimeInfo,
  TakenImage,
  Upkeep,
} from "./driver.ts";
import { Queue } from "./queue.ts";

/** Plain processes, which know whose a task is. */
export type Processes = Runtime & { has(taskId: TaskId): boolean };

/**
 * Containers and plain processes on one node: each task goes to the runtime that its
 * `x-orchd.runtime` says. Images and volumes are the container runtime's; the network is shared.
 */
export class SideBySide implements Runtime {
  readonly #containers: Runtime;
  readonly #processes: Processes;
  readonly upkeep: Upkeep | undefined;

  constructor(containers: Runtime, processes: Processes) {
    this.#containers = containers;
    this.#processes = processes;
    this.upkeep = upkeepOf(containers.upkeep, processes.upkeep);
  }

  info(): Promise<RuntimeInfo> {
    return this.#containers.info();
  }

  async list(): Promise<ContainerStatus[]> {
    return (await Promise.all([this.#containers.list(), this.#processes.list()])).flat();
  }

  inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    return this.#of(taskId).inspect(taskId);
  }

  create(options: CreateOptions): Promise<string> {
    const isProcess = options.assignment.container.runtime === "process";
    return (isProcess ? this.#processes : this.#containers).create(options);
  }

  start(taskId: TaskId): Promise<void> {
    return this.#of(taskId).start(taskId);
  }

  stop(taskId: TaskId, graceMs: number): Promise<void> {
    return this.#of(taskId).stop(taskId, graceMs);
  }

  freeze(taskId: TaskId): Promise<void> {
    return this.#of(taskId).freeze(taskId);
  }

  thaw(taskId: TaskId): Promise<void> {
    return this.#of(taskId).thaw(taskId);
  }

  limit(taskId: TaskId, limits: Limits): Promise<void> {
    return this.#of(taskId).limit(taskId, limits);
  }

  /** Of both: what is there of a process alone would otherwise never go. */
  async remove(taskId: TaskId): Promise<void> {
    const isProcess = this.#processes.has(taskId);
    await this.#processes.remove(taskId);
    if (!isProcess) await this.#containers.remove(taskId);
  }

  async *events(signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
    const queue = new Queue<RuntimeEvent>();
    const follow = async (runtime: Runtime) => {
      for await (const event of runtime.events(signal)) queue.push(event);
    };
    const both = Promise.all([follow(this.#containers), follow(this.#processes)]);
    const done = both.then(
      () => queue.close(),
      (error: unknown) => {
        queue.close();
        throw error;
      },
    );
    done.catch(() => {
      // Thrown below, to whoever reads.
    });
    yield* queue;
    await done;
  }

  logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return this.#of(taskId).logs(taskId, options, signal);
  }

  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    return this.#of(taskId).exec(taskId, options);
  }

  run(taskId: TaskId, command: readonly string[], options: CommandOptions): Promise<CommandResult> {
    return this.#of(taskId).run(taskId, command, options);
  }

  async usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    const processes = taskIds.filter((taskId) => this.#processes.has(taskId));
    const containers = taskIds.filter((taskId) => !this.#processes.has(taskId));
    const found = [this.#containers.usage(containers), this.#processes.usage(processes)];
    return (await Promise.all(found)).flat();
  }

  imageIdentity(reference: string): Promise<ImageIdentity | undefined> {
    return this.#containers.imageIdentity(reference);
  }

  hasImage(reference: string): Promise<boolean> {
    return this.#containers.hasImage(reference);
  }

  imageHealthcheck(taskId: TaskId): Promise<Healthcheck | undefined> {
    return this.#of(taskId).imageHealthcheck(taskId);
  }

  imagePlatform(reference: string): Promise<string | undefined> {
    return this.#containers.imagePlatform(reference);
  }

  pullImage(reference: string, platform?: string): Promise<void> {
    return this.#containers.pullImage(reference, platform);
  }

  takeImage(image: TakenImage): Promise<void> {
    return this.#containers.takeImage(image);
  }

  images(): Promise<ImageSummary[]> {
    return this.#containers.images();
  }

  async ensureNetwork(network: BridgeNetwork): Promise<void> {
    await this.#containers.ensureNetwork(network);
    await this.#processes.ensureNetwork(network);
  }

  async removeNetwork(name: string): Promise<void> {
    await this.#containers.removeNetwork(name);
    await this.#processes.removeNetwork(name);
  }

  ensureVolume(mount: Extract<Mount, { type: "volume" }>): Promise<void> {
    return this.#containers.ensureVolume(mount);
  }

  volumes(): Promise<NodeVolume[]> {
    return this.#containers.volumes();
  }

  volumePath(name: string): Promise<string> {
    return this.#containers.volumePath(name);
  }

  removeVolume(name: string): Promise<void> {
    return this.#containers.removeVolume(name);
  }

  async close(): Promise<void> {
    await this.#processes.close();
    await this.#containers.close();
  }

  #of(taskId: TaskId): Runtime {
    return this.#processes.has(taskId) ? this.#processes : this.#containers;
  }
}

/** The containers', with the logs of processes. */
function upkeepOf(containers: Upkeep | undefined, processes: Upkeep | undefined) {
  if (containers === undefined || processes === undefined) return containers ?? processes;
  return {
    storagePath: () => containers.storagePath(),
    keepLogs: (ids: readonly string[]) => containers.keepLogs(ids),
    dropOldLogs: async (ids: readonly string[]) => {
      await containers.dropOldLogs(ids);
      await processes.dropOldLogs(ids);
    },
    removeImages: (keep: readonly string[], isEnough: () => Promise<boolean>) =>
      containers.removeImages(keep, isEnough),
  };
}
