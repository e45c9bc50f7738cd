import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { containerNameOf } from "../../model/assignment.ts";
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
import { makeSources } from "../bind-sources.ts";
import { countsSwap } from "../containerd/cgroups.ts";
import { etcFilesOf } from "../containerd/etc-files.ts";
import { hostnameOf } from "../containerd/oci-spec.ts";
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
import { readContainerLog } from "../podman/container-log.ts";
import { statusOf, type Inspected } from "../podman/container-status.ts";
import { openExec } from "../podman/exec.ts";
import { filtersOf, type PodmanHttp } from "../podman/http.ts";
import { ImageHealth } from "../podman/image-health.ts";
import { qualifiedNameOf } from "../podman/images.ts";
import { readProcessLimits } from "../podman/machine.ts";
import { podmanEvents } from "../podman/podman-events.ts";
import type { ProcessLimits } from "../podman/process-limits.ts";
import { freezeContainer, thawContainer } from "../podman/stop-container.ts";
import { Subpaths } from "../podman/subpaths.ts";
import { judgeTakenName } from "../podman/taken-name.ts";
import { waitFor } from "../podman/wait-for.ts";
import { changeBodyOf, createBodyOf } from "./create-body.ts";
import { runInContainer } from "./docker-command.ts";
import { DockerImages } from "./docker-images.ts";
import { DockerNetworks } from "./docker-network.ts";
import { findDockerPid, openDocker, type OpenedDocker } from "./docker-service.ts";
import { inspectedSchema, listedSchema } from "./docker-status.ts";
import { DockerUpkeep } from "./docker-upkeep.ts";
import { readDockerUsage } from "./docker-usage.ts";
import { DockerVolumes } from "./docker-volumes.ts";

export interface DockerOptions {
  nodeId: NodeId;
  runDir: string;
  /** For the files of /etc that containers have of orchd. */
  dataDir: string;
  clock: Clock;
  /** Where it is not `/run/docker.sock`. */
  socket?: string;
}

const createdSchema = z.object({ Id: z.string() });

const LIST_TIMEOUT_MS = 60_000;
const PARALLEL = 4;
/** How much longer than the grace period Docker may take to kill and to tidy up. */
const STOP_MARGIN_MS = 30_000;
const REMOVAL_LOOK_MS = 50;
const REMOVAL_LOOKS = 200;
const ADDRESS_TAKEN = /address already in use/i;

/** Containers by Docker, through an interface much like Podman's. See src/runtime/README.md. */
export class DockerRuntime implements Runtime {
  readonly #http: PodmanHttp;
  readonly #version: string;
  readonly #nodeId: NodeId;
  readonly #clock: Clock;
  readonly #limits: ProcessLimits;
  readonly #etcDir: string;
  /** Where Docker keeps its containers. */
  readonly #rootDir: string;
  /** Ids of containers by task: saves a call; whatever is not in here is looked up by label. */
  readonly #ids = new Map<TaskId, string>();
  /** Tasks whose start got no answer: they may have run and ended, and never start twice. */
  readonly #unsure = new Set<TaskId>();
  readonly #network: DockerNetworks;
  readonly #images: DockerImages;
  readonly #volumes: DockerVolumes;
  readonly #subpaths: Subpaths;
  readonly #imageHealth: ImageHealth;
  readonly upkeep: Upkeep;

  private constructor(
    docker: OpenedDocker,
    { nodeId, runDir, dataDir, clock }: DockerOptions,
    limits: ProcessLimits,
  ) {
    const { http, version, rootDir } = docker;
    this.#http = http;
    this.#version = version;
    this.#rootDir = rootDir;
    this.#nodeId = nodeId;
    this.#clock = clock;
    this.#limits = limits;
    this.#etcDir = join(dataDir, "docker", "etc");
    this.#network = new DockerNetworks(http, nodeId);
    this.#images = new DockerImages(http);
    this.#volumes = new DockerVolumes(http, nodeId);
    this.#subpaths = new Subpaths(runDir, (name) => this.#volumes.pathOf(name));
    this.#imageHealth = new ImageHealth(http);
    this.upkeep = new DockerUpkeep(docker);
  }

  /** Finds Docker, and clears away what belongs to no container any more. */
  static async open(options: DockerOptions): Promise<DockerRuntime> {
    const docker = await openDocker(options.socket);
    const limits = await readProcessLimits(findDockerPid(options.socket));
    const runtime = new DockerRuntime(docker, options, limits);
    await runtime.#sweep();
    return runtime;
  }

  info(): Promise<RuntimeInfo> {
    return Promise.resolve({ name: "docker", version: this.#version });
  }

  async list(): Promise<ContainerStatus[]> {
    const listed = await this.#findIds([`${LABELS.owner}=${this.#nodeId}`]);
    const found = new Map<string, ContainerStatus>();
    const ids = listed.values();
    const look = async () => {
      for (let next = ids.next(); next.done !== true; next = ids.next()) {
        const inspected = await this.#inspectId(next.value);
        const status = inspected === undefined ? undefined : statusOf(inspected);
        if (status !== undefined) found.set(next.value, status);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, look));
    const statuses = listed.flatMap((id) => found.get(id) ?? []);
    for (const { taskId, containerId } of statuses) this.#ids.set(taskId, containerId);
    return statuses;
  }

  async inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    const id = await this.#findId(taskId);
    const inspected = id === undefined ? undefined : await this.#inspectId(id);
    if (inspected === undefined) this.#ids.delete(taskId);
    return inspected === undefined ? undefined : statusOf(inspected);
  }

  async create(options: CreateOptions): Promise<string> {
    const { assignment, address, networkTask } = options;
    const { taskId, container } = assignment;
    const shared =
      networkTask === undefined
        ? undefined
        : { task: networkTask, containerId: await this.#requireId(networkTask) };
    await makeSources(container.mounts);
    const mounts = await this.#subpaths.resolve(taskId, container.mounts);
    const body = createBodyOf({
      assignment: { ...assignment, container: { ...container, mounts } },
      nodeId: this.#nodeId,
      network: this.#network.bridge,
      limits: this.#limits,
      hostname: hostnameOf(assignment),
      etc: this.#writeEtc(options),
      ...(address === undefined ? {} : { address }),
      ...(shared === undefined ? {} : { shared }),
    });
    const id = await this.#network.within(() => this.#createOrAdopt(body, options));
    this.#ids.set(taskId, id);
    return id;
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
      if (!(error instanceof OrchdError)) throw error;
      if (error.retryable) this.#unsure.add(taskId);
      if (!ADDRESS_TAKEN.test(error.message)) throw error;
      const { address } = (await this.inspect(taskId)) ?? {};
      const message = `the address ${address} is taken on the node's network`;
      throw new OrchdError("conflict", message, { cause: error });
    }
  }

  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    const seconds = Math.ceil(Math.max(0, graceMs) / 1000);
    await this.#onContainer(taskId, async (id) => {
      // One that is frozen hears no signal.
      if ((await this.#inspectId(id))?.State.Status === "paused") {
        await thawContainer(this.#http, id);
      }
      await this.#http.send("POST", `/containers/${id}/stop`, {
        query: { t: seconds },
        timeoutMs: seconds * 1000 + STOP_MARGIN_MS,
      });
    });
  }

  async freeze(taskId: TaskId): Promise<void> {
    await this.#onContainer(taskId, (id) => freezeContainer(this.#http, id));
  }

  async thaw(taskId: TaskId): Promise<void> {
    await this.#onContainer(taskId, (id) => thawContainer(this.#http, id));
  }

  async limit(taskId: TaskId, limits: Limits): Promise<void> {
    const json = changeBodyOf(limits, countsSwap());
    await this.#onContainer(taskId, (id) =>
      this.#http.send("POST", `/containers/${id}/update`, { json }),
    );
  }

  async remove(taskId: TaskId): Promise<void> {
    const id = await this.#findId(taskId);
    if (id !== undefined) await this.#removeContainer(id);
    this.#ids.delete(taskId);
    this.#unsure.delete(taskId);
    await this.#subpaths.release(taskId);
    rmSync(join(this.#etcDir, taskId), { recursive: true, force: true });
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    // Docker tells of every end at once: there are no files to watch, and no processes to look at.
    const service = { http: this.#http, pid: () => undefined, revive: () => Promise.resolve() };
    const processes = () => Promise.resolve(new Map<string, number>());
    const options = { service, nodeId: this.#nodeId, clock: this.#clock, processes };
    return podmanEvents({ ...options, running: new Map() }, signal);
  }

  async *logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const id = await this.#requireId(taskId);
    const inspect = async () => withLogPath(await this.#inspectId(id), this.#rootDir);
    yield* readContainerLog({ http: this.#http, clock: this.#clock, inspect }, options, signal);
  }

  async exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    const session = await openExec(this.#http, this.#clock, await this.#requireId(taskId), options);
    // This version takes a size only once the command runs.
    if (options.tty && options.size !== undefined) await session.resize(options.size);
    return session;
  }

  async run(
    taskId: TaskId,
    command: readonly string[],
    options: CommandOptions,
  ): Promise<CommandResult> {
    const id = await this.#requireId(taskId);
    try {
      return await runInContainer(this.#http, this.#clock, id, command, options);
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "conflict") throw error;
      throw new OrchdError("runtime", error.message, { cause: error });
    }
  }

  async usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    const found = await Promise.all(
      taskIds.map(async (taskId) => ({ taskId, containerId: await this.#findId(taskId) })),
    );
    return readDockerUsage(this.#http, found);
  }

  async imageHealthcheck(taskId: TaskId): Promise<Healthcheck | undefined> {
    const id = await this.#findId(taskId);
    const inspected = id === undefined ? undefined : await this.#inspectId(id);
    return inspected === undefined ? undefined : this.#imageHealth.of(inspected.Image);
  }

  imageIdentity(reference: string): Promise<ImageIdentity | undefined> {
    return this.#images.identity(reference);
  }

  hasImage(reference: string): Promise<boolean> {
    return this.#images.has(reference);
  }

  imagePlatform(reference: string): Promise<string | undefined> {
    return this.#images.platform(reference);
  }

  pullImage(reference: string, platform?: string): Promise<void> {
    return this.#images.pull(reference, platform);
  }

  takeImage(image: TakenImage): Promise<void> {
    return this.#images.take(image);
  }

  images(): Promise<ImageSummary[]> {
    return this.#images.list();
  }

  ensureNetwork(network: BridgeNetwork): Promise<void> {
    return this.#network.ensure(network);
  }

  removeNetwork(name: string): Promise<void> {
    return this.#network.remove(name);
  }

  ensureVolume(mount: Extract<Mount, { type: "volume" }>): Promise<void> {
    return this.#volumes.ensure(mount);
  }

  volumes(): Promise<NodeVolume[]> {
    return this.#volumes.list();
  }

  volumePath(name: string): Promise<string> {
    return this.#volumes.pathOf(name);
  }

  removeVolume(name: string): Promise<void> {
    return this.#volumes.remove(name);
  }

  /** Docker goes on without orchd. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  async #createOrAdopt(body: Record<string, unknown>, options: CreateOptions): Promise<string> {
    const name = containerNameOf(options.assignment);
    try {
      return await this.#post(name, body);
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "conflict") throw error;
      const found = await this.#inspectId(name);
      if (found !== undefined) {
        if (judgeTakenName(found, options, this.#nodeId) === "adopt") return found.Id;
        await this.#removeContainer(found.Id);
      }
      return this.#post(name, body);
    }
  }

  async #post(name: string, json: Record<string, unknown>): Promise<string> {
    const query = { name };
    const made = await this.#http.json(createdSchema, "POST", "/containers/create", {
      query,
      json: { ...json, Image: qualifiedNameOf(String(json["Image"])) },
    });
    return made.Id;
  }

  /** Docker's own name server would stand between a container and the node's. */
  #writeEtc({ assignment, address, resolver }: CreateOptions): Map<string, string> {
    const directory = join(this.#etcDir, assignment.taskId);
    const files = etcFilesOf({
      spec: assignment.container,
      hostname: hostnameOf(assignment),
      gateway: this.#network.bridge.gateway,
      ...(address === undefined ? {} : { address }),
      ...(resolver === undefined ? {} : { resolver }),
    });
    files.delete("hostname");
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    return new Map(
      [...files].map(([name, text]) => {
        const path = join(directory, name);
        writeFileSync(path, text);
        return [name, path];
      }),
    );
  }

  async #removeContainer(id: string): Promise<void> {
    try {
      await this.#http.send("DELETE", `/containers/${id}`, { query: { force: true, v: true } });
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      if (error.code === "notFound") return;
      // Somebody else is at it: what counts is that it is gone.
      if (error.code !== "conflict" || !(await this.#isGoing(id))) throw error;
    }
  }

  async #isGoing(id: string): Promise<boolean> {
    for (let looks = 0; looks < REMOVAL_LOOKS; looks++) {
      if ((await this.#inspectId(id)) === undefined) return true;
      await waitFor(this.#clock, REMOVAL_LOOK_MS);
    }
    return false;
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
    const [found] = await this.#findIds(labels);
    if (found !== undefined) this.#ids.set(taskId, found);
    return found;
  }

  async #findIds(label: string[]): Promise<string[]> {
    const listed = await this.#http.json(z.array(listedSchema), "GET", "/containers/json", {
      query: { all: true, filters: filtersOf({ label }) },
      timeoutMs: LIST_TIMEOUT_MS,
    });
    return listed.map(({ Id }) => Id);
  }

  async #inspectId(idOrName: string): Promise<Inspected | undefined> {
    try {
      return await this.#http.json(inspectedSchema, "GET", `/containers/${idOrName}/json`);
    } catch (error) {
      if (error instanceof OrchdError && error.code === "notFound") return undefined;
      throw error;
    }
  }

  /** Files of containers that are gone: orchd was killed before it had removed them. */
  async #sweep(): Promise<void> {
    mkdirSync(this.#etcDir, { recursive: true, mode: 0o755 });
    const known = new Set((await this.list()).map(({ taskId }) => String(taskId)));
    for (const name of readdirSync(this.#etcDir)) {
      if (!taskIdSchema.safeParse(name).success || known.has(name)) continue;
      rmSync(join(this.#etcDir, name), { recursive: true, force: true });
    }
  }
}

/** Docker names the log only once a container has been started. */
function withLogPath(inspected: Inspected | undefined, rootDir: string): Inspected | undefined {
  if (inspected === undefined || inspected.HostConfig.LogConfig.Path !== "") return inspected;
  const { Id, HostConfig } = inspected;
  const Path = join(rootDir, "containers", Id, `${Id}-json.log`);
  return {
    ...inspected,
    HostConfig: { ...HostConfig, LogConfig: { ...HostConfig.LogConfig, Path } },
  };
}
