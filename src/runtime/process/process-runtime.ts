import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Limits, Mount } from "../../model/container.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import type { Healthcheck } from "../../model/probe.ts";
import type { ExecOptions, ExecSession, LogLine, LogOptions } from "../../model/session.ts";
import type { ImageSummary } from "../../model/session.ts";
import type { NodeUsage } from "../../model/usage.ts";
import type { NodeVolume } from "../../model/volume.ts";
import { makeSources } from "../bind-sources.ts";
import { Bridge } from "../containerd/bridge.ts";
import { etcFilesOf } from "../containerd/etc-files.ts";
import { makePunchHole } from "../containerd/libc.ts";
import { LogKeeper, logPathOf, makeOutputs } from "../containerd/log-keeper.ts";
import { Volumes } from "../containerd/volumes.ts";
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
  Upkeep,
} from "../driver.ts";
import { dropRotated } from "../podman/kept-logs.ts";
import { readLog } from "../podman/log-reader.ts";
import { readProcessLimits } from "../podman/machine.ts";
import { COMMAND_VARIABLE, followCommand, nextPidFile } from "../podman/run-command.ts";
import { Subpaths } from "../podman/subpaths.ts";
import { Cgroups } from "./cgroups.ts";
import { commandOf } from "./command.ts";
import { openProcessExec } from "./process-exec.ts";
import { ProcessEvents } from "./process-events.ts";
import { type KeptPlan, ProcessFiles } from "./process-files.ts";
import { type Connection, type LifeParts, ProcessLife } from "./process-life.ts";
import { makeAnonymous, plannedMounts } from "./planned-mounts.ts";
import { nameOf, requireDevices, type Rules, stopSignalOf } from "./process-plan.ts";
import { refuseImpossible } from "./refusals.ts";
import { findTools } from "./tools.ts";

const WAIT_MS = 3_600_000;

export interface ProcessOptions {
  nodeId: NodeId;
  runDir: string;
  dataDir: string;
  clock: Clock;
  /** Directories whose programs may be run. */
  allowed: readonly string[];
  /** Another runtime's volumes and network, where there is one beside: they are shared. */
  beside?: Pick<Runtime, "volumePath">;
}

/** Programs without any container runtime. See src/runtime/README.md. */
export class ProcessRuntime implements Runtime {
  readonly #options: ProcessOptions;
  readonly #rules: Rules;
  readonly #files: ProcessFiles;
  readonly #cgroups: Cgroups;
  readonly #logs: LogKeeper;
  readonly #life: ProcessLife;
  readonly #events: ProcessEvents;
  readonly #volumes: Volumes;
  readonly #bridge: Bridge;
  readonly #subpaths: Subpaths;
  readonly upkeep: Upkeep;

  private constructor(options: ProcessOptions, rules: Rules, logs: LogKeeper) {
    const { nodeId, runDir, dataDir, clock, beside } = options;
    const own = join(dataDir, "process");
    this.#options = options;
    this.#rules = rules;
    this.#files = new ProcessFiles(join(own, "tasks"));
    this.#cgroups = new Cgroups(nodeId);
    this.#logs = logs;
    const parts: LifeParts = {
      files: this.#files,
      cgroups: this.#cgroups,
      clock,
      logs: this.#logs,
      rules,
    };
    this.#life = new ProcessLife(parts);
    this.#events = new ProcessEvents(this.#files, this.#life, clock);
    this.#volumes = new Volumes(join(own, "volumes"), nodeId);
    this.#bridge = new Bridge(nodeId);
    const pathOf = (name: string) => (beside ?? this).volumePath(name);
    this.#subpaths = new Subpaths(join(runDir, "process"), pathOf);
    this.upkeep = upkeepOf(own, this.#files);
  }

  /**
   * Takes up what an earlier orchd has left.
   * @throws OrchdError `runtime` for what this machine lacks
   */
  static async open(options: ProcessOptions): Promise<ProcessRuntime> {
    if (process.getuid?.() !== 0) {
      throw new OrchdError("runtime", "processes of other users need root: run orchd as root");
    }
    const [tools, limits] = [findTools(), await readProcessLimits(undefined)];
    fs.mkdirSync(options.runDir, { recursive: true, mode: 0o700 });
    const logs = new LogKeeper({ clock: options.clock, punchHole: await makePunchHole() });
    const rules = { allowed: options.allowed, limits, tools };
    const runtime = new ProcessRuntime(options, rules, logs);
    runtime.#takeUp();
    return runtime;
  }

  /** Whether there is anything of a task here. */
  has(taskId: TaskId): boolean {
    return this.#files.has(taskId);
  }

  info(): Promise<RuntimeInfo> {
    return Promise.resolve({ name: "process", version: release() });
  }

  list(): Promise<ContainerStatus[]> {
    return promised(() => this.#files.all().flatMap((taskId) => this.#life.status(taskId) ?? []));
  }

  inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    return promised(() => this.#life.status(taskId));
  }

  async create(options: CreateOptions): Promise<string> {
    const { assignment, address, networkTask, resolver } = options;
    const { taskId, container, resources } = assignment;
    const found = this.#life.status(taskId);
    if (found !== undefined) {
      const isSame = found.address === address && found.networkTask === networkTask;
      if (found.state !== "created" || isSame) return taskId;
      await this.remove(taskId);
    }
    if (container.runtime !== "process") {
      throw new OrchdError(
        "runtime",
        "the node has no container runtime, and runs processes alone",
      );
    }
    refuseImpossible(container);
    const shared = networkTask === undefined ? undefined : this.#files.plan(networkTask);
    await makeSources(container.mounts);
    const mounts = await this.#subpaths.resolve(taskId, container.mounts);
    const volumeOf = await this.#volumeSources(mounts);
    const plan: KeptPlan = {
      container,
      resources,
      mounts: plannedMounts(mounts, this.#files.pathOf(taskId), volumeOf),
      ...(address === undefined ? {} : { address }),
      ...(networkTask === undefined ? {} : { networkTask }),
    };
    stopSignalOf(plan);
    requireDevices(plan);
    const own = address ?? shared?.address;
    const etc = etcFilesOf({
      spec: container,
      hostname: nameOf(taskId, container),
      gateway: this.#bridge.gateway,
      ...(own === undefined ? {} : { address: own }),
      ...(resolver === undefined ? {} : { resolver }),
    });
    this.#files.make(taskId, plan, etc);
    makeAnonymous(plan.mounts, this.#files.pathOf(taskId));
    makeOutputs(this.#files.pathOf(taskId));
    try {
      // Another task's network may be another one by the time of the start.
      const connection = networkTask === undefined ? this.#connectionOf(taskId, plan) : undefined;
      await this.#life.prepare(taskId, connection);
    } catch (error) {
      await this.remove(taskId);
      throw error;
    }
    this.#events.note(taskId);
    return taskId;
  }

  async start(taskId: TaskId): Promise<void> {
    const plan = this.#require(taskId);
    if (plan.address !== undefined) await this.#requireFree(taskId, plan.address);
    await this.#life.start(taskId, this.#connectionOf(taskId, plan));
    this.#events.look(taskId);
  }

  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    this.#require(taskId);
    await this.#life.stop(taskId, graceMs);
    this.#events.look(taskId);
  }

  freeze(taskId: TaskId): Promise<void> {
    return promised(() => {
      this.#require(taskId);
      this.#life.freeze(taskId);
    });
  }

  thaw(taskId: TaskId): Promise<void> {
    return promised(() => {
      this.#require(taskId);
      this.#life.thaw(taskId);
    });
  }

  limit(taskId: TaskId, limits: Limits): Promise<void> {
    return promised(() => {
      this.#require(taskId);
      this.#cgroups.limit(taskId, limits);
    });
  }

  async remove(taskId: TaskId): Promise<void> {
    await this.#life.remove(taskId);
    await this.#subpaths.release(taskId);
    this.#events.look(taskId);
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    return this.#events.read(signal);
  }

  async *logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    this.#require(taskId);
    const path = logPathOf(this.#files.pathOf(taskId));
    yield* readLog({ path, ended: (given) => this.#waitForEnd(taskId, given) }, options, signal);
  }

  async exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    const { start } = this.#command(taskId, options);
    return Promise.resolve(openProcessExec(start, options));
  }

  async run(
    taskId: TaskId,
    command: readonly string[],
    options: CommandOptions,
  ): Promise<CommandResult> {
    const pidFile = nextPidFile(this.#options.runDir);
    const id = randomUUID();
    const asked = { command: [...command], environment: { [COMMAND_VARIABLE]: id }, pidFile };
    this.#requireRunning(taskId);
    let start;
    try {
      ({ start } = this.#command(taskId, asked));
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      return { end: "notStarted", output: error.message };
    }
    return followCommand({ ...start, id, pidFile, ownSession: true }, options);
  }

  usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    return promised(() => taskIds.flatMap((taskId) => this.#life.usage(taskId) ?? []));
  }

  imageIdentity(): Promise<ImageIdentity | undefined> {
    return Promise.resolve(undefined);
  }

  /** A process is of no image: nothing that it would need is missing. */
  hasImage(): Promise<boolean> {
    return Promise.resolve(false);
  }

  imageHealthcheck(): Promise<Healthcheck | undefined> {
    return Promise.resolve(undefined);
  }

  imagePlatform(): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }

  pullImage(reference: string): Promise<void> {
    return Promise.reject(noImages(reference));
  }

  takeImage({ from }: { from: string }): Promise<void> {
    return Promise.reject(noImages(from));
  }

  images(): Promise<ImageSummary[]> {
    return Promise.resolve([]);
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

  close(): Promise<void> {
    this.#events.close();
    this.#life.close();
    this.#logs.close();
    this.#cgroups.close();
    return Promise.resolve();
  }

  /** Follows the output of what runs, and clears away what belongs to no task. */
  #takeUp(): void {
    for (const taskId of this.#files.all()) {
      const state = this.#life.status(taskId)?.state;
      if (state === undefined) this.#files.remove(taskId);
      else if (state === "running") this.#logs.follow(taskId, this.#files.pathOf(taskId));
    }
    const known = new Set(this.#files.all());
    for (const taskId of this.#cgroups.all()) {
      if (!known.has(taskId)) void this.#life.remove(taskId);
    }
  }

  #command(taskId: TaskId, asked: Parameters<typeof commandOf>[0]["asked"]) {
    const plan = this.#require(taskId);
    const { pid } = this.#requireRunning(taskId);
    return commandOf({
      taskId,
      plan,
      pid,
      directory: this.#files.pathOf(taskId),
      joinFiles: this.#cgroups.joinFiles(taskId),
      rules: this.#rules,
      asked,
    });
  }

  /** What each named volume is, as a mount. */
  async #volumeSources(mounts: readonly Mount[]) {
    const { beside } = this.#options;
    const paths = new Map<string, string>();
    for (const mount of mounts) {
      if (mount.type !== "volume" || mount.volume === "" || beside === undefined) continue;
      paths.set(mount.volume, await beside.volumePath(mount.volume));
    }
    return (mount: Extract<Mount, { type: "volume" }>) => {
      const source = paths.get(mount.volume);
      return source === undefined ? this.#volumes.mountOf(mount) : { source };
    };
  }

  #connectionOf(taskId: TaskId, { address, networkTask }: KeptPlan): Connection {
    return {
      ...(networkTask === undefined ? {} : { shared: this.#networkOf(networkTask) }),
      link: async (pid) => {
        if (address !== undefined) await this.#bridge.link(taskId, pid, address);
      },
      join: async () => {
        if (address !== undefined) await this.#bridge.join(taskId);
      },
    };
  }

  /** Where the network of a running task is. */
  #networkOf(task: TaskId): string {
    const pid = this.#life.running(task)?.program.pid;
    if (pid !== undefined) return `/proc/${pid}/ns/net`;
    const message = `task ${task}, whose network is to be shared, does not run as a process here`;
    throw new OrchdError("unreachable", message, { retryable: true });
  }

  async #waitForEnd(taskId: TaskId, signal: AbortSignal): Promise<void> {
    for (;;) {
      const state = this.#life.status(taskId)?.state;
      if (signal.aborted || state === undefined || state === "exited") return;
      if (state === "created") await this.#life.waitForStart(taskId, signal);
      else await this.#life.waitForEnd(taskId, WAIT_MS, signal);
    }
  }

  /** No two tasks have one address: the second one would take the first one's packets. */
  async #requireFree(taskId: TaskId, address: string): Promise<void> {
    const holder = (await this.list()).find(
      (other) => other.taskId !== taskId && other.address === address && other.state === "running",
    );
    if (holder === undefined) return;
    throw new OrchdError("runtime", `the address ${address} is taken on the node's network`);
  }

  #requireRunning(taskId: TaskId): { pid: number } {
    this.#require(taskId);
    const kept = this.#life.running(taskId);
    if (kept !== undefined) return kept.program;
    const message = "the container does not run, so nothing can be run in it";
    throw new OrchdError("runtime", message);
  }

  #require(taskId: TaskId): KeptPlan {
    const plan = this.#files.plan(taskId);
    if (plan !== undefined) return plan;
    throw new OrchdError("notFound", `task ${taskId} has no process here`);
  }
}

function noImages(reference: string): OrchdError {
  const message = `image ${reference} is not on this node and could not be fetched: `;
  return new OrchdError("runtime", `${message}the node has no container runtime, and no images`);
}

function upkeepOf(directory: string, files: ProcessFiles): Upkeep {
  return {
    storagePath: () => Promise.resolve(directory),
    // The log keeper keeps them as it goes.
    keepLogs: () => Promise.resolve(),
    dropOldLogs: (ids) =>
      promised(() => {
        for (const taskId of files.all()) {
          if (ids.includes(taskId)) dropRotated(logPathOf(files.pathOf(taskId)));
        }
      }),
    removeImages: () => Promise.resolve([]),
  };
}

/** What is done at once, with its failure as a promise's. */
function promised<T>(use: () => T): Promise<T> {
  return new Promise((resolve) => resolve(use()));
}
