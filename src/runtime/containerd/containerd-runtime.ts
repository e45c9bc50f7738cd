import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { Limits, Mount } from "../../model/container.ts";
import { taskIdSchema, type NodeId, type TaskId } from "../../model/ids.ts";
import type { Healthcheck } from "../../model/probe.ts";
import type {
  ExecOptions,
  ExecSession,
  ImageSummary,
  LogLine,
  LogOptions,
} from "../../model/session.ts";
import type { NodeUsage } from "../../model/usage.ts";
import type { NodeVolume } from "../../model/volume.ts";
import {
  LABELS,
  type BridgeNetwork,
  type CommandOptions,
  type CommandResult,
  type ContainerStatus,
  type CreateOptions,
  type ImageIdentity,
  type Runtime,
  type RuntimeEvent,
  type RuntimeInfo,
  type TakenImage,
  type Upkeep,
} from "../driver.ts";
import { makeSources } from "../bind-sources.ts";
import { parseImageHealth } from "../podman/image-health.ts";
import { readLog } from "../podman/log-reader.ts";
import { findRuntime, readProcessLimits } from "../podman/machine.ts";
import { nextPidFile, runCommand } from "../podman/run-command.ts";
import { Subpaths } from "../podman/subpaths.ts";
import { waitFor } from "../podman/wait-for.ts";
import { Bridge } from "./bridge.ts";
import { usageOf } from "./cgroups.ts";
import { containerdEvents } from "./containerd-events.ts";
import { ContainerdUpkeep } from "./containerd-upkeep.ts";
import { ContainerFiles, readBoot } from "./container-files.ts";
import { ContainerMaker, IMAGE_LABEL, STOP_LABEL, TTY_LABEL } from "./container-maker.ts";
import type { SharedNetwork } from "./container-maker.ts";
import { isCode } from "./errors.ts";
import { openExec } from "./exec.ts";
import { execProcessOf } from "./exec-process.ts";
import { type ContainerdGrpc, NAMESPACE } from "./grpc.ts";
import { ImageStore, platformOf } from "./image-store.ts";
import { makePunchHole } from "./libc.ts";
import { LogKeeper, logPathOf } from "./log-keeper.ts";
import { type ContainerRecord, METHODS, TASK_STATUS, type TaskProcess } from "./methods.ts";
import { pullImage, takeImage } from "./pull.ts";
import { unmountLeft } from "./rootfs.ts";
import { ContainerdService, type ServiceOptions } from "./service.ts";
import { KILLED, TaskLife } from "./task-life.ts";
import { Volumes } from "./volumes.ts";

export interface ContainerdOptions extends ServiceOptions {
  nodeId: NodeId;
}

/** Where containerd's shims let runc keep its state, whatever containerd's own directories are. */
const RUNC_ROOT = `/run/containerd/runc/${NAMESPACE}`;
const SIGTERM = 15;
/** Between two looks at a container that is just starting, or at a containerd that is away. */
const LOOK_AGAIN_MS = 200;
const WAIT_MS = 3_600_000;

/** Containers by containerd, through its gRPC interface. See src/runtime/README.md. */
export class ContainerdRuntime implements Runtime {
  readonly #options: ContainerdOptions;
  readonly #service: ContainerdService;
  readonly #grpc: ContainerdGrpc;
  readonly #images: ImageStore;
  readonly #volumes: Volumes;
  readonly #bridge: Bridge;
  readonly #files: ContainerFiles;
  readonly #logs: LogKeeper;
  readonly #life: TaskLife;
  readonly #maker: ContainerMaker;
  readonly #subpaths: Subpaths;
  readonly upkeep: Upkeep;
  /** Containers that are or were ours, for events of what is gone. */
  readonly #ours = new Set<TaskId>();

  private constructor(
    service: ContainerdService,
    options: ContainerdOptions,
    logs: LogKeeper,
    limits: Awaited<ReturnType<typeof readProcessLimits>>,
  ) {
    const { nodeId, runDir, dataDir, clock } = options;
    const own = join(dataDir, "containerd");
    const { grpc } = service;
    this.#options = options;
    this.#service = service;
    this.#grpc = grpc;
    this.#images = new ImageStore(grpc);
    this.#volumes = new Volumes(join(own, "volumes"), nodeId);
    this.#bridge = new Bridge(nodeId);
    this.#files = new ContainerFiles(join(own, "containers"));
    this.#logs = logs;
    this.#life = new TaskLife({ grpc, clock, files: this.#files, logs: this.#logs });
    this.#subpaths = new Subpaths(runDir, (name) => Promise.resolve(this.#volumes.filesOf(name)));
    this.#maker = new ContainerMaker({
      grpc,
      nodeId,
      limits,
      images: this.#images,
      volumes: this.#volumes,
      files: this.#files,
      mountDirectory: join(runDir, "rootfs"),
    });
    this.upkeep = new ContainerdUpkeep(grpc, this.#images, this.#files);
  }

  /**
   * Takes up what an earlier orchd has left.
   * @throws OrchdError `unreachable` when nothing answers, `runtime` when that is no containerd
   */
  static async open(options: ContainerdOptions): Promise<ContainerdRuntime> {
    mkdirSync(options.runDir, { recursive: true, mode: 0o700 });
    const service = await ContainerdService.open(options);
    try {
      await unmountLeft(join(options.runDir, "rootfs"));
      const limits = await readProcessLimits(service.pid());
      const logs = new LogKeeper({ clock: options.clock, punchHole: await makePunchHole() });
      const runtime = new ContainerdRuntime(service, options, logs, limits);
      await runtime.#takeUp();
      return runtime;
    } catch (error) {
      await service.close();
      throw error;
    }
  }

  async info(): Promise<RuntimeInfo> {
    const { version } = await this.#grpc.call(METHODS.version, {});
    return { name: "containerd", version: version.replace(/^v/, "") };
  }

  async list(): Promise<ContainerStatus[]> {
    const filters = [`labels."${LABELS.owner}"==${this.#options.nodeId}`];
    const [{ containers }, { tasks }] = await Promise.all([
      this.#grpc.call(METHODS.listContainers, { filters }),
      this.#grpc.call(METHODS.listTasks, {}),
    ]);
    const byId = new Map(tasks.map((task) => [task.id, task]));
    const statuses = await Promise.all(
      containers.map((record) => this.#statusOf(record, byId.get(record.id))),
    );
    return statuses.filter((status) => status !== undefined);
  }

  async inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    const [record, task] = await Promise.all([this.#find(taskId), this.#life.find(taskId)]);
    return record && this.#statusOf(record, task);
  }

  async create(options: CreateOptions): Promise<string> {
    const { assignment, address, networkTask } = options;
    const { taskId, container } = assignment;
    const found = await this.#findAny(taskId);
    if (found !== undefined) {
      if (found.labels[LABELS.owner] !== this.#options.nodeId) throw inTheWay(taskId);
      const status = await this.#statusOf(found, await this.#life.find(taskId));
      const isSame = status?.address === address && status?.networkTask === networkTask;
      if (status?.state !== "created" || isSame) return taskId;
      await this.remove(taskId);
    }
    const shared = networkTask === undefined ? undefined : await this.#networkOf(networkTask);
    await makeSources(container.mounts);
    const mounts = await this.#subpaths.resolve(taskId, container.mounts);
    this.#ours.add(taskId);
    await this.#maker.make(
      { ...options, assignment: { ...assignment, container: { ...container, mounts } } },
      { gateway: this.#bridge.gateway, ...(shared === undefined ? {} : { shared }) },
    );
    return taskId;
  }

  async start(taskId: TaskId): Promise<void> {
    const record = await this.#require(taskId);
    const address = record.labels[LABELS.address];
    await this.#life.start(taskId, {
      tty: record.labels[TTY_LABEL] !== undefined,
      check: async () => {
        if (address !== undefined) await this.#requireFree(taskId, address);
      },
      connect: async (pid) => {
        if (address !== undefined) await this.#bridge.connect(taskId, pid, address);
      },
    });
  }

  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    const record = await this.#require(taskId);
    await this.#life.stop(taskId, Number(record.labels[STOP_LABEL] ?? SIGTERM), graceMs);
  }

  async freeze(taskId: TaskId): Promise<void> {
    await this.#require(taskId);
    await this.#life.freeze(taskId);
  }

  async thaw(taskId: TaskId): Promise<void> {
    await this.#require(taskId);
    await this.#life.thaw(taskId);
  }

  async limit(taskId: TaskId, limits: Limits): Promise<void> {
    await this.#require(taskId);
    await this.#life.limit(taskId, limits);
  }

  async remove(taskId: TaskId): Promise<void> {
    const record = await this.#findAny(taskId);
    if (record !== undefined && record.labels[LABELS.owner] !== this.#options.nodeId) return;
    // A task without its container's record has nobody else who could end it.
    if (record !== undefined || this.#ours.has(taskId)) await this.#life.remove(taskId);
    await this.#maker.remove(taskId);
    await this.#subpaths.release(taskId);
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const { clock } = this.#options;
    const isOurs = async (taskId: TaskId) =>
      this.#ours.has(taskId) || (await this.#find(taskId)) !== undefined;
    const revive = () => this.#service.revive();
    return containerdEvents({ grpc: this.#grpc, clock, isOurs, revive }, signal);
  }

  async *logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    await this.#require(taskId);
    const path = logPathOf(this.#files.pathOf(taskId));
    const ended = (given: AbortSignal) => this.#waitForEnd(taskId, given);
    yield* readLog({ path, ended }, options, signal);
  }

  async exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    const record = await this.#require(taskId);
    await this.#requireRunning(taskId);
    const process = await execProcessOf(this.#grpc, record, options);
    const directory = join(this.#options.runDir, "exec");
    return openExec({ grpc: this.#grpc, taskId, directory, process }, options);
  }

  async run(
    taskId: TaskId,
    command: readonly string[],
    options: CommandOptions,
  ): Promise<CommandResult> {
    await this.#require(taskId);
    const runtime = findRuntime("runc");
    if (runtime === undefined) throw new OrchdError("runtime", "runc is not on this machine");
    const pidFile = nextPidFile(this.#options.runDir);
    const target = { runtime, flags: ["--root", RUNC_ROOT], containerId: taskId, pidFile };
    return runCommand(target, command, options);
  }

  async imageHealthcheck(taskId: TaskId): Promise<Healthcheck | undefined> {
    const image = (await this.#find(taskId))?.labels[IMAGE_LABEL];
    const found = image === undefined ? undefined : await this.#images.find(image);
    return parseImageHealth(found?.config.config?.Healthcheck ?? {});
  }

  usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    return Promise.resolve(taskIds.flatMap((taskId) => usageOf(taskId) ?? []));
  }

  imageIdentity(reference: string): Promise<ImageIdentity | undefined> {
    return this.#images.identity(reference);
  }

  async hasImage(reference: string): Promise<boolean> {
    return (await this.#images.find(reference)) !== undefined;
  }

  async imagePlatform(reference: string): Promise<string | undefined> {
    const found = await this.#images.find(reference);
    return found && platformOf(found.config);
  }

  pullImage(reference: string, platform?: string): Promise<void> {
    return pullImage(this.#images, reference, platform);
  }

  takeImage(image: TakenImage): Promise<void> {
    return takeImage(this.#images, image);
  }

  images(): Promise<ImageSummary[]> {
    return this.#images.summaries();
  }

  ensureNetwork(network: BridgeNetwork): Promise<void> {
    return this.#bridge.ensure(network);
  }

  removeNetwork(name: string): Promise<void> {
    return this.#bridge.remove(name);
  }

  ensureVolume(mount: Extract<Mount, { type: "volume" }>): Promise<void> {
    return promised(() => this.#volumes.ensure(mount, this.#options.clock.now()));
  }

  volumes(): Promise<NodeVolume[]> {
    return promised(() => this.#volumes.list());
  }

  volumePath(name: string): Promise<string> {
    return promised(() => this.#volumes.filesOf(name));
  }

  removeVolume(name: string): Promise<void> {
    return promised(() => this.#volumes.remove(name));
  }

  async close(): Promise<void> {
    this.#logs.close();
    await this.#service.close();
  }

  /** Follows the output of what runs, and clears away what was left half made or half removed. */
  async #takeUp(): Promise<void> {
    const statuses = await this.list();
    for (const { taskId, state } of statuses) {
      this.#ours.add(taskId);
      const path = this.#files.pathOf(taskId);
      if (state === "running") this.#logs.follow(taskId, path);
      else this.#logs.finish(taskId, path);
    }
    const known = new Set(statuses.map(({ taskId }) => taskId));
    for (const taskId of this.#files.all()) if (!known.has(taskId)) this.#files.remove(taskId);
    await this.#maker.sweep(known);
  }

  async #statusOf(
    record: ContainerRecord,
    task: TaskProcess | undefined,
  ): Promise<ContainerStatus | undefined> {
    const taskId = taskIdSchema.safeParse(record.labels[LABELS.task]).data;
    if (taskId === undefined) return undefined;
    if (task?.status === TASK_STATUS.stopped) await this.#life.reap(taskId);
    const { startedAt, exit, boot } = this.#files.read(taskId);
    const isRunning =
      task !== undefined &&
      task.status !== TASK_STATUS.stopped &&
      task.status !== TASK_STATUS.created;
    // Without its processes and without a word on their end: somebody has killed its shim. When the
    // machine itself was started anew it is as new, and starts again, as with Podman.
    const isLost = task === undefined && startedAt !== undefined && boot === readBoot();
    const ended =
      exit ?? (isLost ? { code: KILLED, outOfMemory: false, at: undefined } : undefined);
    const state = ended !== undefined ? "exited" : isRunning ? "running" : "created";
    const address = record.labels[LABELS.address];
    const networkTask = taskIdSchema.safeParse(record.labels[LABELS.networkTask]).data;
    return {
      taskId,
      containerId: record.id,
      state,
      ...(startedAt === undefined || state === "created" ? {} : { startedAt }),
      ...(ended === undefined ? {} : { exitCode: ended.code }),
      ...(ended?.at === undefined ? {} : { finishedAt: ended.at }),
      ...(ended?.outOfMemory === true ? { outOfMemory: true } : {}),
      ...(address === undefined ? {} : { address }),
      ...(networkTask === undefined ? {} : { networkTask }),
    };
  }

  /** Where the network of a running task is. */
  async #networkOf(task: TaskId): Promise<SharedNetwork> {
    const record = await this.#require(task);
    const { status, pid = 0 } = (await this.#life.find(task)) ?? {};
    if (pid > 0 && status !== TASK_STATUS.stopped) {
      const address = record.labels[LABELS.address];
      const path = `/proc/${pid}/ns/net`;
      return { path, ...(address === undefined ? {} : { address }) };
    }
    const message = `task ${task}, whose network is to be shared, does not run`;
    throw new OrchdError("unreachable", message, { retryable: true });
  }

  /** Resolves when the container has ended or is gone, or `signal` aborts. */
  async #waitForEnd(taskId: TaskId, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const status = await this.inspect(taskId);
        if (status === undefined || status.state === "exited") return;
        if (status.state === "running" && (await this.#life.waitForEnd(taskId, WAIT_MS, signal))) {
          continue;
        }
      } catch (error) {
        // containerd is being started again, or the container went away: the next look tells.
        if (!(error instanceof OrchdError)) throw error;
      }
      await waitFor(this.#options.clock, LOOK_AGAIN_MS, signal);
    }
  }

  /** No two containers have one address: the second one would take the first one's packets. */
  async #requireFree(taskId: TaskId, address: string): Promise<void> {
    const holder = (await this.list()).find(
      (other) => other.taskId !== taskId && other.address === address && other.state === "running",
    );
    if (holder === undefined) return;
    throw new OrchdError("runtime", `the address ${address} is taken on the node's network`);
  }

  async #requireRunning(taskId: TaskId): Promise<void> {
    const status = await this.inspect(taskId);
    if (status?.state === "running") return;
    const message = "the container does not run, so nothing can be run in it";
    throw new OrchdError("runtime", message);
  }

  async #require(taskId: TaskId): Promise<ContainerRecord> {
    const record = await this.#find(taskId);
    if (record !== undefined) return record;
    throw new OrchdError("notFound", `task ${taskId} has no container here`);
  }

  async #find(taskId: TaskId): Promise<ContainerRecord | undefined> {
    const record = await this.#findAny(taskId);
    return record?.labels[LABELS.owner] === this.#options.nodeId ? record : undefined;
  }

  async #findAny(taskId: TaskId): Promise<ContainerRecord | undefined> {
    try {
      return (await this.#grpc.call(METHODS.getContainer, { id: taskId })).container;
    } catch (error) {
      // There is none: an expected answer.
      if (isCode(error, "notFound")) return undefined;
      throw error;
    }
  }
}

function inTheWay(taskId: TaskId): OrchdError {
  return new OrchdError(
    "conflict",
    `a container named ${taskId} in containerd's namespace ${NAMESPACE} that is not this node's ` +
      "is in the way; remove it",
  );
}

/** What is done at once, with its failure as a promise's. */
function promised<T>(use: () => T): Promise<T> {
  return new Promise((resolve) => resolve(use()));
}
