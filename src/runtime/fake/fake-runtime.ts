import type { Clock, Timer } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Random } from "../../lib/random.ts";
import type { Assignment } from "../../model/assignment.ts";
import type { Mount } from "../../model/container.ts";
import type { TaskId } from "../../model/ids.ts";
import type {
  ExecOptions,
  ExecSession,
  ImageSummary,
  LogLine,
  LogOptions,
} from "../../model/session.ts";
import type { NodeUsage } from "../../model/usage.ts";
import type { NodeVolume } from "../../model/volume.ts";
import type {
  BridgeNetwork,
  CommandResult,
  ContainerStatus,
  CreateOptions,
  ImageIdentity,
  Runtime,
  RuntimeEvent,
  RuntimeInfo,
  TakenImage,
} from "../driver.ts";
import { Queue } from "../queue.ts";
import { openFakeExec } from "./fake-exec.ts";
import { FakeImages } from "./fake-images.ts";
import { FakeVolumes } from "./fake-volumes.ts";
import { parseFakeScript, type FakeScript } from "./fake-script.ts";

export type FakeOperation = "create" | "start" | "stop" | "limit" | "remove" | "list" | "pullImage";

interface FakeContainer {
  status: ContainerStatus;
  script: FakeScript;
  log: LogLine[];
  followers: Set<Queue<LogLine>>;
  exitTimer?: Timer;
}

const KILLED = 137;

/**
 * Containers that exist in this process's memory only: for trying orchd without root, for
 * simulation and for load tests. Behaves as `PodmanRuntime` does as far as tests/conformance goes;
 * failures are scripted by labels (src/runtime/README.md) or by the methods at the end.
 */
export class FakeRuntime implements Runtime {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #containers = new Map<TaskId, FakeContainer>();
  readonly #addresses = new Map<string, TaskId>();
  readonly #listeners = new Set<Queue<RuntimeEvent>>();
  /** Nothing is on a disk. */
  readonly upkeep = undefined;
  readonly #volumes: FakeVolumes;
  readonly #frozen = new Set<TaskId>();
  readonly #images = new FakeImages();
  readonly #failures = new Map<FakeOperation, OrchdError[]>();
  #network: BridgeNetwork | undefined;
  #reachable = true;

  /** @param options.runDir where the files of volumes are; absent: volumes have none */
  constructor(options: { clock: Clock; random: Random; runDir?: string }) {
    this.#clock = options.clock;
    this.#volumes = new FakeVolumes(options.runDir);
    this.#random = options.random.split("runtime/fake");
  }

  info(): Promise<RuntimeInfo> {
    return this.#answer(() => ({ name: "fake", version: "1" }));
  }

  list(): Promise<ContainerStatus[]> {
    return this.#answer(() => {
      this.#failIfAsked("list");
      const statuses: ContainerStatus[] = [];
      for (const { status } of this.#containers.values()) statuses.push({ ...status });
      return statuses;
    });
  }

  inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    return this.#answer(() => {
      const found = this.#containers.get(taskId);
      return found === undefined ? undefined : { ...found.status };
    });
  }

  usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    return this.#answer(() =>
      taskIds.flatMap((taskId) => {
        const { status, script } = this.#containers.get(taskId) ?? {};
        if (status?.state !== "running" || script === undefined) return [];
        const ranMs = this.#clock.now() - (status.startedAt ?? this.#clock.now());
        return [{ taskId, cpuMs: ranMs * script.cpu, memoryBytes: script.memoryBytes }];
      }),
    );
  }

  async create(options: CreateOptions): Promise<string> {
    const { assignment, address, networkTask } = options;
    const script = parseFakeScript(assignment.container.labels);
    await this.#delay(script.createDelayMs);
    return this.#answer(() => {
      this.#failIfAsked("create");
      const left = this.#containers.get(assignment.taskId);
      if (left !== undefined && !this.#isStale(left, options)) return left.status.containerId;
      if (left !== undefined) this.#forget(left);
      this.#requireCreatable(assignment, script);
      const status: ContainerStatus = {
        taskId: assignment.taskId,
        containerId: `${newId(this.#random)}${newId(this.#random)}`,
        state: "created",
        ...(address === undefined ? {} : { address }),
        ...(networkTask === undefined ? {} : { networkTask }),
      };
      const container = { status, script, log: [], followers: new Set<Queue<LogLine>>() };
      this.#containers.set(assignment.taskId, container);
      return status.containerId;
    });
  }

  async start(taskId: TaskId): Promise<void> {
    await this.#delay(this.#containers.get(taskId)?.script.startDelayMs ?? 0);
    await this.#answer(() => {
      this.#failIfAsked("start");
      const container = this.#require(taskId);
      const { status, script } = container;
      if (status.state === "running") return;
      if (script.startError !== undefined) throw new OrchdError("runtime", script.startError);
      this.#takeAddress(status);
      container.status = { ...status, state: "running", startedAt: this.#clock.now() };
      this.#print(container, script.output.length > 0 ? script.output : this.#firstWords(taskId));
      this.#tell("started", container);
      if (script.exitAfterMs === undefined) return;
      const { exitCode, outOfMemory } = script;
      container.exitTimer = this.#clock.after(script.exitAfterMs, () =>
        this.#exit(container, outOfMemory ? KILLED : exitCode, outOfMemory),
      );
    });
  }

  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    await this.#answer(() => this.#failIfAsked("stop"));
    const container = this.#require(taskId);
    if (container.status.state !== "running") return;
    if (container.script.ignoreStop) await this.#delay(graceMs);
    this.#exit(container, container.script.ignoreStop ? KILLED : 0);
  }

  freeze(taskId: TaskId): Promise<void> {
    return this.#answer(() => void this.#frozen.add(this.#require(taskId).status.taskId));
  }

  thaw(taskId: TaskId): Promise<void> {
    return this.#answer(() => void this.#frozen.delete(taskId));
  }

  limit(taskId: TaskId): Promise<void> {
    return this.#answer(() => {
      this.#failIfAsked("limit");
      this.#require(taskId);
    });
  }

  remove(taskId: TaskId): Promise<void> {
    return this.#answer(() => {
      this.#failIfAsked("remove");
      this.removeBehindBack(taskId);
    });
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const queue = new Queue<RuntimeEvent>();
    this.#listeners.add(queue);
    const end = () => {
      this.#listeners.delete(queue);
      queue.close();
    };
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    else if (this.#reachable) queue.push({ type: "resync" });
    return queue;
  }

  async *logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const container = await this.#answer(() => this.#require(taskId));
    const since = options.since ?? 0;
    const { log } = container;
    const first = options.tail === undefined ? 0 : Math.max(0, log.length - options.tail);
    const lines = log.slice(first).filter((line) => line.at >= since);
    const follower = new Queue<LogLine>();
    const end = () => follower.close();
    if (options.follow && container.status.state !== "exited") container.followers.add(follower);
    else end();
    signal.addEventListener("abort", end, { once: true });
    try {
      yield* lines;
      if (!signal.aborted) yield* follower;
    } finally {
      signal.removeEventListener("abort", end);
      container.followers.delete(follower);
    }
  }

  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    return this.#answer(() => {
      const { status } = this.#require(taskId);
      if (status.state === "running") return openFakeExec(options);
      throw new OrchdError("runtime", "the container does not run, so nothing can be run in it");
    });
  }

  imageIdentity(reference: string): Promise<ImageIdentity | undefined> {
    return this.#answer(() => this.#images.identity(reference));
  }

  async run(taskId: TaskId): Promise<CommandResult> {
    const { ok, output } = await this.answer(taskId);
    return { end: "exited", exitCode: ok ? 0 : 1, output };
  }

  answer(taskId: TaskId): Promise<{ ok: boolean; output: string }> {
    return this.#answer(() => {
      const { status, script } = this.#require(taskId);
      if (status.state !== "running" || status.startedAt === undefined) {
        throw new OrchdError(
          "runtime",
          "the container does not run, so nothing can be asked of it",
        );
      }
      const ranMs = this.#clock.now() - status.startedAt;
      const { healthyAfterMs, unhealthyAfterMs = Infinity } = script;
      if (ranMs < healthyAfterMs) return { ok: false, output: "not there yet" };
      const ok = ranMs < unhealthyAfterMs;
      return { ok, output: ok ? "all is well" : "something is wrong" };
    });
  }

  /** No image says anything of its health. */
  imageHealthcheck(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  hasImage(reference: string): Promise<boolean> {
    return this.#answer(() => this.#images.has(reference));
  }

  /** No image is made of anything here. */
  imagePlatform(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  pullImage(reference: string): Promise<void> {
    return this.#answer(() => {
      this.#failIfAsked("pullImage");
      this.#images.pull(reference);
    });
  }

  takeImage({ repository, tag }: TakenImage): Promise<void> {
    return this.#answer(() => this.#images.take(`${repository}:${tag}`, this.#clock.now()));
  }

  images(): Promise<ImageSummary[]> {
    return this.#answer(() => this.#images.list());
  }

  ensureNetwork(network: BridgeNetwork): Promise<void> {
    return this.#answer(() => {
      const is = this.#network;
      if (is !== undefined && (is.subnet !== network.subnet || is.name !== network.name)) {
        const message = `the network ${is.name} has ${is.subnet} already, not ${network.subnet}`;
        throw new OrchdError("conflict", message);
      }
      this.#network = network;
    });
  }

  removeNetwork(name: string): Promise<void> {
    return this.#answer(() => {
      if (this.#network?.name === name) this.#network = undefined;
    });
  }

  ensureVolume(mount: Extract<Mount, { type: "volume" }>): Promise<void> {
    return this.#answer(() => this.#volumes.ensure(mount, this.#clock.now()));
  }

  removeVolume(name: string): Promise<void> {
    return this.#answer(() => this.#volumes.remove(name));
  }

  volumes(): Promise<NodeVolume[]> {
    return this.#answer(() => this.#volumes.list());
  }

  volumePath(name: string): Promise<string> {
    return this.#answer(() => this.#volumes.path(name));
  }

  /** For tests: whether the task's processes stand still. */
  isFrozen(taskId: TaskId): boolean {
    return this.#frozen.has(taskId);
  }

  /** Ends all streams. The containers stay: the next user of this object finds them again. */
  close(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#listeners.clear();
    return Promise.resolve();
  }

  /** For tests: the task's process dies. */
  crash(taskId: TaskId, exitCode = KILLED): void {
    this.#exit(this.#require(taskId), exitCode);
  }

  /** For tests: somebody removes the container by hand. */
  removeBehindBack(taskId: TaskId): void {
    const container = this.#containers.get(taskId);
    if (container === undefined) return;
    this.#exit(container, KILLED);
    this.#forget(container);
    this.#tell("removed", container);
  }

  /** For tests: the next call of `operation` fails. */
  failNext(operation: FakeOperation, error?: OrchdError): void {
    const failures = this.#failures.get(operation) ?? [];
    failures.push(error ?? new OrchdError("runtime", `${operation} fails, as was asked for`));
    this.#failures.set(operation, failures);
  }

  /** For tests: the runtime goes away and comes back; containers go on meanwhile. */
  setReachable(reachable: boolean): void {
    if (reachable && !this.#reachable) {
      for (const listener of this.#listeners) listener.push({ type: "resync" });
    }
    this.#reachable = reachable;
  }

  /** Runs one call as the real ones do: later than its caller, and never while unreachable. */
  async #answer<T>(call: () => T): Promise<T> {
    await Promise.resolve();
    if (!this.#reachable) {
      const message = "the fake runtime does not answer, as was asked for";
      throw new OrchdError("unreachable", message, { retryable: true });
    }
    return call();
  }

  #delay(delayMs: number): Promise<void> {
    if (delayMs <= 0) return Promise.resolve();
    return new Promise((resolve) => this.#clock.after(delayMs, resolve));
  }

  #require(taskId: TaskId): FakeContainer {
    const container = this.#containers.get(taskId);
    if (container !== undefined) return container;
    throw new OrchdError("notFound", `task ${taskId} has no container here`);
  }

  #requireCreatable(assignment: Assignment, script: FakeScript): void {
    const { image } = assignment.container;
    if (script.createError !== undefined) throw new OrchdError("runtime", script.createError);
    if (script.imageMissing || !this.#images.has(image)) {
      throw new OrchdError("notFound", `image ${image} is not on this node`);
    }
  }

  #isStale({ status }: FakeContainer, { address, networkTask }: CreateOptions): boolean {
    const isAsWanted = status.address === address && status.networkTask === networkTask;
    return status.state === "created" && !isAsWanted;
  }

  #takeAddress({ taskId, address }: ContainerStatus): void {
    if (address === undefined) return;
    if ((this.#addresses.get(address) ?? taskId) !== taskId) {
      throw new OrchdError("conflict", `the address ${address} is taken on the node's network`);
    }
    this.#addresses.set(address, taskId);
  }

  #failIfAsked(operation: FakeOperation): void {
    const error = this.#failures.get(operation)?.shift();
    if (error !== undefined) throw error;
  }

  #exit(container: FakeContainer, exitCode: number, outOfMemory = false): void {
    const { status } = container;
    if (status.state !== "running") return;
    container.exitTimer?.cancel();
    container.status = {
      ...status,
      state: "exited",
      finishedAt: this.#clock.now(),
      exitCode,
      ...(outOfMemory ? { outOfMemory } : {}),
    };
    if (status.address !== undefined) this.#addresses.delete(status.address);
    for (const follower of container.followers) follower.close();
    this.#tell("exited", container);
  }

  #forget(container: FakeContainer): void {
    for (const follower of container.followers) follower.close();
    this.#containers.delete(container.status.taskId);
  }

  #firstWords(taskId: TaskId): string[] {
    return [`task ${taskId} started`, "ready"];
  }

  #print(container: FakeContainer, texts: readonly string[]): void {
    for (const text of texts) {
      const line: LogLine = { at: this.#clock.now(), stream: "stdout", text };
      container.log.push(line);
      for (const follower of container.followers) follower.push(line);
    }
  }

  #tell(type: "started" | "exited" | "removed", { status }: FakeContainer): void {
    if (!this.#reachable) return;
    const { taskId, containerId } = status;
    for (const listener of this.#listeners) listener.push({ type, taskId, containerId });
  }
}
