import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { containerNameOf, type Assignment } from "../../model/assignment.ts";
import type { Limits, Mount } from "../../model/container.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
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
import { countsSwap } from "../containerd/cgroups.ts";
import { changeOfLimits } from "../oci-limits.ts";
import { readContainerLog } from "./container-log.ts";
import {
  inspectedSchema,
  listedSchema,
  statusOf,
  type Inspected,
  type Listed,
} from "./container-status.ts";
import { createSpecOf } from "./create-spec.ts";
import { openExec } from "./exec.ts";
import { filtersOf, type PodmanHttp } from "./http.ts";
import { ImageHealth } from "./image-health.ts";
import { hasImage, imageIdentity, imagePlatform, listImages, takeImage } from "./images.ts";
import { pullImage, qualifiedNameOf } from "./images.ts";
import { asEnded, mayBeLost } from "./lost-ends.ts";
import { findRuntime, readProcessLimits } from "./machine.ts";
import { NodeNetwork } from "./network.ts";
import { podmanEvents, type RunningTasks } from "./podman-events.ts";
import type { ProcessLimits } from "./process-limits.ts";
import { nextPidFile, runCommand } from "./run-command.ts";
import { PodmanService, type ServiceOptions } from "./service.ts";
import { StatusCache } from "./status-cache.ts";
import { freezeContainer, stopContainer, thawContainer } from "./stop-container.ts";
import { Subpaths } from "./subpaths.ts";
import { judgeTakenName } from "./taken-name.ts";
import { PodmanUpkeep } from "./upkeep.ts";
import { readUsage } from "./usage.ts";
import { ensureVolume, listVolumes, removeVolume, volumePath } from "./volumes.ts";
import { waitFor } from "./wait-for.ts";

export interface PodmanOptions extends ServiceOptions {
  nodeId: NodeId;
}

const createdSchema = z.object({ Id: z.string() });
const versionSchema = z.object({ Version: z.string() });

const LIST_TIMEOUT_MS = 60_000;

const INSPECT_TRIES = 50;
const INSPECT_AGAIN_MS = 20;
const VANISHED_PROCESS = /\/proc\/\d+\/.*no such (process|file)/;

/** Containers by Podman, through its libpod REST interface. See src/runtime/README.md. */
export class PodmanRuntime implements Runtime {
  readonly #http: PodmanHttp;
  readonly #service: PodmanService;
  readonly #nodeId: NodeId;
  readonly #clock: Clock;
  readonly #limits: ProcessLimits;
  readonly #statuses: StatusCache;
  /** Ids of containers by task: saves a call; whatever is not in here is looked up by label. */
  readonly #ids = new Map<TaskId, string>();
  /** Tasks whose start got no answer: they may have run and ended, and never start twice. */
  readonly #unsure = new Set<TaskId>();
  readonly #running: RunningTasks = new Map();
  readonly #network: NodeNetwork;
  readonly #subpaths: Subpaths;
  readonly upkeep: Upkeep;
  readonly #imageHealth: ImageHealth;
  readonly #runDir: string;
  /** Executables of OCI runtimes, by the container that each of them runs. */
  readonly #runtimes = new Map<string, string>();

  private constructor(service: PodmanService, options: PodmanOptions, limits: ProcessLimits) {
    this.#service = service;
    this.#http = service.http;
    this.#nodeId = options.nodeId;
    this.#clock = options.clock;
    this.#limits = limits;
    this.#network = new NodeNetwork(service.http, options.nodeId);
    this.upkeep = new PodmanUpkeep(service.http);
    this.#subpaths = new Subpaths(options.runDir, (name) => volumePath(service.http, name));
    this.#statuses = new StatusCache((id) => this.#inspectId(id));
    this.#imageHealth = new ImageHealth(service.http);
    this.#runDir = options.runDir;
  }

  /** Finds Podman's service or starts one. */
  static async open(options: PodmanOptions): Promise<PodmanRuntime> {
    const service = await PodmanService.open(options);
    return new PodmanRuntime(service, options, await readProcessLimits(service.pid()));
  }

  async info(): Promise<RuntimeInfo> {
    const { Version } = await this.#http.json(versionSchema, "GET", "/version");
    return { name: "podman", version: Version };
  }

  async list(): Promise<ContainerStatus[]> {
    const listed = await this.#listed({ all: true });
    const statuses = await this.#statuses.complete(listed);
    this.#running.clear();
    for (const { taskId, containerId, state } of statuses) {
      this.#ids.set(taskId, containerId);
      if (state === "running") this.#running.set(containerId, taskId);
    }
    return statuses;
  }

  async #listed(which: { all: boolean }): Promise<Listed[]> {
    return this.#http.json(z.array(listedSchema), "GET", "/containers/json", {
      query: { ...which, filters: filtersOf({ label: [`${LABELS.owner}=${this.#nodeId}`] }) },
      timeoutMs: LIST_TIMEOUT_MS,
    });
  }

  async #processes(): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.#listed({ all: false })).map(({ Id, Pid }) => [Id, Pid]));
  }

  async inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    const id = await this.#findId(taskId);
    const inspected = id === undefined ? undefined : await this.#inspectId(id);
    if (inspected === undefined) this.#ids.delete(taskId);
    return inspected === undefined ? undefined : statusOf(inspected);
  }

  async create(options: CreateOptions): Promise<string> {
    const { assignment, address, networkTask, resolver } = options;
    const { taskId, container } = assignment;
    const shared = networkTask === undefined ? undefined : await this.#networkOf(networkTask);
    await makeSources(container.mounts);
    const mounts = await this.#subpaths.resolve(taskId, container.mounts);
    const spec = createSpecOf({
      assignment: { ...assignment, container: { ...container, mounts } },
      nodeId: this.#nodeId,
      network: this.#network.bridge,
      limits: this.#limits,
      ...(address === undefined ? {} : { address }),
      ...(shared === undefined ? {} : { shared }),
      ...(resolver === undefined ? {} : { resolver }),
    });
    const id = await this.#network.within(() => this.#createOrAdopt(spec, options));
    this.#ids.set(assignment.taskId, id);
    return id;
  }

  async prepare(taskId: TaskId): Promise<void> {
    await this.#onContainer(taskId, (id) =>
      this.#network.within(() => this.#http.send("POST", `/containers/${id}/init`)),
    );
    await this.#network.settle();
  }

  async start(taskId: TaskId): Promise<void> {
    if (this.#unsure.has(taskId)) {
      const status = await this.inspect(taskId);
      this.#unsure.delete(taskId);
      if (status !== undefined && status.state !== "created") return;
    }
    try {
      await this.#onContainer(taskId, (id) =>
        this.#network.within(() => this.#http.send("POST", `/containers/${id}/start`)),
      );
    } catch (error) {
      if (error instanceof OrchdError && error.retryable) this.#unsure.add(taskId);
      throw error;
    }
    await this.#network.settle();
  }

  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    const runs = async () => (await this.inspect(taskId))?.state === "running";
    await this.#onContainer(taskId, (id) => stopContainer(this.#http, id, { graceMs, runs }));
  }

  async freeze(taskId: TaskId): Promise<void> {
    await this.#onContainer(taskId, (id) => freezeContainer(this.#http, id));
  }

  async thaw(taskId: TaskId): Promise<void> {
    await this.#onContainer(taskId, (id) => thawContainer(this.#http, id));
  }

  async limit(taskId: TaskId, limits: Limits): Promise<void> {
    const json = changeOfLimits(limits, countsSwap());
    await this.#onContainer(taskId, (id) =>
      this.#http.send("POST", `/containers/${id}/update`, { json }),
    );
  }

  async remove(taskId: TaskId): Promise<void> {
    const id = await this.#findId(taskId);
    if (id !== undefined) {
      await this.#removeContainer(id);
      this.#ids.delete(taskId);
      this.#unsure.delete(taskId);
      this.#statuses.forget(id);
      this.#runtimes.delete(id);
    }
    await this.#subpaths.release(taskId);
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const events = {
      service: this.#service,
      nodeId: this.#nodeId,
      clock: this.#clock,
      running: this.#running,
      processes: () => this.#processes(),
    };
    return podmanEvents(events, signal);
  }

  async *logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const id = await this.#requireId(taskId);
    const container = {
      http: this.#http,
      clock: this.#clock,
      inspect: () => this.#inspectId(id),
    };
    yield* readContainerLog(container, options, signal);
  }

  async exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    return openExec(this.#http, this.#clock, await this.#requireId(taskId), options);
  }

  async run(
    taskId: TaskId,
    command: readonly string[],
    options: CommandOptions,
  ): Promise<CommandResult> {
    const containerId = await this.#requireId(taskId);
    const runtime = this.#runtimes.get(containerId) ?? (await this.#runtimeOf(containerId));
    const pidFile = nextPidFile(this.#runDir);
    return runCommand({ runtime, containerId, pidFile }, command, options);
  }

  async imageHealthcheck(taskId: TaskId): Promise<Healthcheck | undefined> {
    const id = await this.#findId(taskId);
    const inspected = id === undefined ? undefined : await this.#inspectId(id);
    if (inspected === undefined || inspected.Image === "") return undefined;
    return this.#imageHealth.of(inspected.Image);
  }

  async usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    const found = await Promise.all(
      taskIds.map(async (taskId) => ({ taskId, containerId: await this.#findId(taskId) })),
    );
    return readUsage(this.#http, found);
  }

  imageIdentity(reference: string): Promise<ImageIdentity | undefined> {
    return imageIdentity(this.#http, reference);
  }

  hasImage(reference: string): Promise<boolean> {
    return hasImage(this.#http, reference);
  }

  imagePlatform(reference: string): Promise<string | undefined> {
    return imagePlatform(this.#http, reference);
  }

  pullImage(reference: string, platform?: string): Promise<void> {
    return pullImage(this.#http, reference, platform);
  }

  takeImage(image: TakenImage): Promise<void> {
    return takeImage(this.#http, image);
  }

  images(): Promise<ImageSummary[]> {
    return listImages(this.#http);
  }

  ensureNetwork(network: BridgeNetwork): Promise<void> {
    return this.#network.ensure(network);
  }

  removeNetwork(name: string): Promise<void> {
    return this.#network.remove(name);
  }

  ensureVolume(mount: Extract<Mount, { type: "volume" }>): Promise<void> {
    return ensureVolume(this.#http, mount, this.#nodeId);
  }

  volumes(): Promise<NodeVolume[]> {
    return listVolumes(this.#http, this.#nodeId);
  }

  volumePath(name: string): Promise<string> {
    return volumePath(this.#http, name);
  }

  removeVolume(name: string): Promise<void> {
    return removeVolume(this.#http, name, this.#nodeId);
  }

  async close(): Promise<void> {
    await this.#service.close();
  }

  /** One call when nothing is in the way, which is nearly always. */
  async #createOrAdopt(spec: Record<string, unknown>, options: CreateOptions): Promise<string> {
    try {
      return await this.#post(spec);
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      if (error.code === "conflict") return this.#resolveConflict(spec, options);
      const image = options.assignment.container.image;
      const qualified = qualifiedNameOf(image);
      if (error.code !== "notFound" || qualified === image) throw error;
      // A short name: what was pulled for it is known to Podman by its full one.
      return this.#createOrAdopt(
        { ...spec, image: qualified },
        { ...options, assignment: withImage(options.assignment, qualified) },
      );
    }
  }

  async #post(spec: Record<string, unknown>): Promise<string> {
    return (await this.#http.json(createdSchema, "POST", "/containers/create", { json: spec })).Id;
  }

  /** Where the network of a running task is. */
  async #networkOf(task: TaskId): Promise<{ task: TaskId; path: string }> {
    const inspected = await this.#inspectId(await this.#requireId(task));
    const path = inspected?.NetworkSettings?.SandboxKey ?? "";
    if (path !== "") return { task, path };
    const message = `task ${task}, whose network is to be shared, does not run`;
    throw new OrchdError("unreachable", message, { retryable: true });
  }

  /** The name is taken: by an earlier try of ours, by its remains, or by somebody else. */
  async #resolveConflict(spec: Record<string, unknown>, options: CreateOptions): Promise<string> {
    const name = containerNameOf(options.assignment);
    const found = await this.#inspectId(name);
    if (found !== undefined) {
      if (judgeTakenName(found, options, this.#nodeId) === "adopt") return found.Id;
    }
    // Either Podman was stopped in the midst of creating it, or it was made for another address.
    await this.#removeContainer(found?.Id ?? name);
    return this.#post(spec);
  }

  async #removeContainer(idOrName: string): Promise<void> {
    await this.#http.send("DELETE", `/containers/${idOrName}`, {
      query: { force: true, volumes: true, timeout: 0, ignore: true },
    });
  }

  async #onContainer(taskId: TaskId, call: (id: string) => Promise<unknown>): Promise<void> {
    const id = await this.#requireId(taskId);
    try {
      await call(id);
    } catch (error) {
      // Removed behind our back: the next call looks it up afresh.
      if (error instanceof OrchdError && error.code === "notFound") this.#ids.delete(taskId);
      throw error;
    }
  }

  async #requireId(taskId: TaskId): Promise<string> {
    const id = await this.#findId(taskId);
    if (id === undefined) throw new OrchdError("notFound", `task ${taskId} has no container here`);
    return id;
  }

  async #findId(taskId: TaskId): Promise<string | undefined> {
    const known = this.#ids.get(taskId);
    if (known !== undefined) return known;
    const labels = [`${LABELS.owner}=${this.#nodeId}`, `${LABELS.task}=${taskId}`];
    const [found] = await this.#http.json(z.array(listedSchema), "GET", "/containers/json", {
      query: { all: true, filters: filtersOf({ label: labels }) },
    });
    if (found !== undefined) this.#ids.set(taskId, found.Id);
    return found?.Id;
  }

  async #runtimeOf(containerId: string): Promise<string> {
    const name = (await this.#inspectId(containerId))?.OCIRuntime ?? "";
    const path = name === "" ? undefined : findRuntime(name);
    if (path === undefined) {
      const message = `the OCI runtime ${name} that runs the container is not on this machine`;
      throw new OrchdError("runtime", message);
    }
    this.#runtimes.set(containerId, path);
    return path;
  }

  async #inspectId(idOrName: string): Promise<Inspected | undefined> {
    let wasLost = false;
    for (let tries = 1; ; tries++) {
      try {
        const path = `/containers/${idOrName}/json`;
        const inspected = await this.#http.json(inspectedSchema, "GET", path);
        if (!mayBeLost(inspected)) return inspected;
        if (wasLost) return asEnded(inspected);
        wasLost = true;
      } catch (error) {
        if (!(error instanceof OrchdError)) throw error;
        if (error.code === "notFound") return undefined;
        // Podman looks at a process that has just ended, and knows better a moment later.
        if (tries === INSPECT_TRIES || !VANISHED_PROCESS.test(error.message)) throw error;
        await waitFor(this.#clock, INSPECT_AGAIN_MS);
      }
    }
  }
}

function withImage(assignment: Assignment, image: string): Assignment {
  return { ...assignment, container: { ...assignment.container, image } };
}
