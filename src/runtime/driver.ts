import type { Assignment } from "../model/assignment.ts";
import type { Mount } from "../model/container.ts";
import type { TaskId } from "../model/ids.ts";
import type {
  ExecOptions,
  ExecSession,
  ImageSummary,
  LogLine,
  LogOptions,
} from "../model/session.ts";
import type { NodeUsage } from "../model/usage.ts";
import type { NodeVolume } from "../model/volume.ts";

/** What a runtime holds for one task. */
export interface ContainerStatus {
  taskId: TaskId;
  containerId: string;
  state: "created" | "running" | "exited";
  /** Milliseconds since 1970; absent before the first start. */
  startedAt?: number;
  finishedAt?: number;
  exitCode?: number;
  /** Killed by the kernel because its memory limit was reached. */
  outOfMemory?: boolean;
  /** The address that it was created with on the node's network. */
  address?: string;
}

export type RuntimeEvent =
  | { type: "started" | "exited" | "removed"; taskId: TaskId; containerId: string }
  /** The stream began, or began again after a gap: look at everything afresh. */
  | { type: "resync" };

export interface RuntimeInfo {
  name: string;
  version: string;
}

export interface CreateOptions {
  assignment: Assignment;
  /** A free address on the node's own network, for tasks in network mode `bridge`. */
  address?: string;
}

/** The node's own bridge network. */
export interface BridgeNetwork {
  /** `orchd0`: also the name of the interface. */
  name: string;
  /** `10.210.1.0/24` */
  subnet: string;
  gateway: string;
}

/**
 * A container runtime, as much of it as orchd needs. Every call throws `OrchdError`: `notFound` for
 * an image or container that is not there, `noSpace`, `unreachable` (retryable) while the runtime
 * does not answer, else `runtime`. Containers of others are never listed and never touched: ours
 * carry `LABELS` of this driver's owner. Implementations pass tests/conformance/runtime.ts.
 */
export interface Runtime {
  info(): Promise<RuntimeInfo>;
  /** Every container of this owner, in any state. */
  list(): Promise<ContainerStatus[]>;
  inspect(taskId: TaskId): Promise<ContainerStatus | undefined>;
  /** Makes the container, or adopts one that an earlier try left. Answers its id. */
  create(options: CreateOptions): Promise<string>;
  start(taskId: TaskId): Promise<void>;
  /** Sends the stop signal, kills after `graceMs`; returns when the container has ended. */
  stop(taskId: TaskId, graceMs: number): Promise<void>;
  /** Freezes all processes of a running container; nothing for one that is frozen. */
  freeze(taskId: TaskId): Promise<void>;
  /** Lets it go on; nothing for one that is not frozen. */
  thaw(taskId: TaskId): Promise<void>;
  /** Removes the container with its anonymous volumes, running or not; nothing when it is gone. */
  remove(taskId: TaskId): Promise<void>;
  /** Events from now on; ends when `signal` aborts, heals itself otherwise. */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent>;
  logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession>;

  /** What running tasks use; of one that is not there, or does not run, nothing is said. */
  usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]>;

  hasImage(reference: string): Promise<boolean>;
  /** `linux/arm64`: what the image is made for; undefined where it is not here, or does not say. */
  imagePlatform(reference: string): Promise<string | undefined>;
  /** Fetches from a registry. */
  pullImage(reference: string, platform?: string): Promise<void>;
  /** Takes a docker-archive or OCI archive; answers the references that it held. */
  loadImage(archive: ReadableStream<Uint8Array>): Promise<string[]>;
  images(): Promise<ImageSummary[]>;

  ensureNetwork(network: BridgeNetwork): Promise<void>;
  ensureVolume(mount: Extract<Mount, { type: "volume" }>): Promise<void>;
  /** Every volume of the runtime, whoever made it; without sizes. */
  volumes(): Promise<NodeVolume[]>;
  /**
   * The directory of this machine that holds the volume's files.
   * @throws OrchdError `notFound`, or `conflict` for one whose files are elsewhere
   */
  volumePath(name: string): Promise<string>;
  /** Removes a volume that orchd made; one of somebody else is left and told as `conflict`. */
  removeVolume(name: string): Promise<void>;
  /** Care for what is kept on the disk; undefined for a runtime that keeps nothing there. */
  readonly upkeep: Upkeep | undefined;
  close(): Promise<void>;
}

/** What a runtime keeps on the disk, and how room is made there. */
export interface Upkeep {
  /** A directory on the disk that holds images and containers. */
  storagePath(): Promise<string>;
  /** Keeps the two latest parts of logs that were rotated since the last call. */
  keepLogs(containerIds: readonly string[]): Promise<void>;
  /** Removes those parts; the logs themselves stay. */
  dropOldLogs(containerIds: readonly string[]): Promise<void>;
  /** Removes images without a name that no container uses. */
  removeUnnamedImages(): Promise<void>;
  /**
   * Removes images that none of these names means and no container uses, the oldest first, until
   * there is enough room. Answers their names.
   */
  removeImages(keep: readonly string[], isEnough: () => Promise<boolean>): Promise<string[]>;
}

/** Labels by which orchd knows its own containers and volumes. */
export const LABELS = {
  /** The node's id: two agents on one runtime never touch each other's. */
  owner: "orchd.node",
  task: "orchd.task",
  stack: "orchd.stack",
  service: "orchd.service",
  slot: "orchd.slot",
  revision: "orchd.revision",
  address: "orchd.address",
} as const;
