import type { Assignment } from "../model/assignment.ts";
import type { Limits, Mount } from "../model/container.ts";
import type { TaskId } from "../model/ids.ts";
import type { Check, Healthcheck } from "../model/probe.ts";
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
  /** The task whose network it was created in, where it has none of its own. */
  networkTask?: TaskId;
}

export type RuntimeEvent =
  /** In order; an end may be told twice, for some runtimes have two sources of it. */
  | { type: "started" | "exited" | "removed"; taskId: TaskId; containerId: string }
  /** The stream began, or began again after a gap: look at everything afresh. */
  | { type: "resync" };

export interface ImageIdentity {
  id: string;
  /** By which its registry gives it, the most general first; none for one of no registry. */
  digests: string[];
}

/** An image in a registry of this machine. */
export interface TakenImage {
  /** How it is called there: `127.0.0.1:6775/docker.io/library/web:1`. */
  from: string;
  /** Of the name that it gets: `docker.io/library/web`. */
  repository: string;
  tag: string;
  platform?: string;
}

export interface RuntimeInfo {
  name: string;
  version: string;
}

export interface CreateOptions {
  assignment: Assignment;
  /** A free address on the node's own network, for tasks in network mode `bridge`. */
  address?: string;
  /** The running task whose network it shares, for tasks in network mode `service`. */
  networkTask?: TaskId;
  /** The node's name server, for tasks in both modes; absent where it has none. */
  resolver?: Resolver;
}

/** What a container is told of names. */
export interface Resolver {
  /** The one name server that it asks. */
  server: string;
  /** Domains that are tried behind a name, where the task does not say which. */
  search: readonly string[];
}

export interface CommandOptions {
  /** Gives up: the command is ended with all that it has started. */
  signal: AbortSignal;
  /** So much of the end of its output is kept, of both streams together. */
  outputBytesMax: number;
}

export interface CommandResult {
  /** `notStarted`: there is no such command; `flooded`: it printed far too much and was ended. */
  end: "exited" | "timedOut" | "flooded" | "notStarted";
  /** Only of one that ended by itself. */
  exitCode?: number;
  output: string;
}

/** The node's own bridge network. */
export interface BridgeNetwork {
  /** `orchd0`: also the name of the interface. */
  name: string;
  /** `10.210.1.0/24` */
  subnet: string;
  gateway: string;
  /** The cluster's IPv6 network; absent where containers get no addresses of it. */
  range6?: string;
  /** The largest packet that gets through to other nodes; absent leaves it to the runtime. */
  mtu?: number;
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
  /**
   * Does what it can of the start of a container that was made, all but to begin its program.
   * Absent where that is nothing.
   */
  prepare?(taskId: TaskId): Promise<void>;
  /**
   * Starts a container, one that has ended as well; nothing for one that runs. After a try that got
   * no answer it starts none a second time.
   */
  start(taskId: TaskId): Promise<void>;
  /** Sends the stop signal, kills after `graceMs`; returns when the container has ended. */
  stop(taskId: TaskId, graceMs: number): Promise<void>;
  /** Freezes all processes of a running container; nothing for one that is frozen. */
  freeze(taskId: TaskId): Promise<void>;
  /** Lets it go on; nothing for one that is not frozen. */
  thaw(taskId: TaskId): Promise<void>;
  /**
   * Holds a running container to these limits from now on, until it ends; its set of processors
   * stays as it is.
   * @throws OrchdError `runtime` where the kernel does not take them
   */
  limit(taskId: TaskId, limits: Limits): Promise<void>;
  /** Removes the container with its anonymous volumes, running or not; nothing when it is gone. */
  remove(taskId: TaskId): Promise<void>;
  /** Events from now on; ends when `signal` aborts, heals itself otherwise. */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent>;
  logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession>;

  /**
   * Runs a command in a running task's container, as its own process would be run, to its end.
   * @throws OrchdError when it can't be tried, which says nothing of the command
   */
  run(taskId: TaskId, command: readonly string[], options: CommandOptions): Promise<CommandResult>;

  /** Only of a runtime whose tasks can't be reached: what they would answer to a check. */
  answer?(taskId: TaskId, check: Check): Promise<{ ok: boolean; output: string }>;

  /** What running tasks use; of one that is not there, or does not run, nothing is said. */
  usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]>;

  /** What the image is; undefined for one that is not there. */
  imageIdentity(reference: string): Promise<ImageIdentity | undefined>;
  hasImage(reference: string): Promise<boolean>;
  /** What the image that a task's container was made of says of its health, if anything. */
  imageHealthcheck(taskId: TaskId): Promise<Healthcheck | undefined>;
  /** `linux/arm64`: what the image is made for; undefined where it is not here, or does not say. */
  imagePlatform(reference: string): Promise<string | undefined>;
  /** Fetches from a registry. */
  pullImage(reference: string, platform?: string): Promise<void>;
  /** Fetches from a registry of this machine, and keeps the image under another name. */
  takeImage(image: TakenImage): Promise<void>;
  images(): Promise<ImageSummary[]>;

  ensureNetwork(network: BridgeNetwork): Promise<void>;
  /** Removes a network that orchd made and no container is in; one of somebody else stays. */
  removeNetwork(name: string): Promise<void>;
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
  /**
   * Removes images that none of these names, digests and ids means and no container uses, those
   * without a name first and then the oldest, until there is enough room. Answers what went.
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
  networkTask: "orchd.network-task",
} as const;
