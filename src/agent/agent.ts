import type { Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import { Trouble } from "../lib/trouble.ts";
import { contentsNeeded } from "../core/task/contents.ts";
import type { Assignment, AssignmentSet } from "../model/assignment.ts";
import type { NodeId, TaskId } from "../model/ids.ts";
import type { NetworkSource } from "../model/network-change.ts";
import { contentIdOf, type ContentRef } from "../model/item.ts";
import type { NodeFacts } from "../model/node.ts";
import type {
  AgentSession,
  ByteStream,
  ExecOptions,
  ExecSession,
  ImageSummary,
  LogLine,
  LogOptions,
} from "../model/session.ts";
import type { Successor } from "../model/successor.ts";
import { isTerminal, type TaskStatus } from "../model/task.ts";
import type { UpgradeOrder } from "../model/upgrade.ts";
import type { NodeUsage } from "../model/usage.ts";
import type { VolumeCalls } from "../model/volume.ts";
import { connectTcp } from "../net/byte-stream.ts";
import { PortClaims } from "../net/ports.ts";
import type { AgentOptions } from "./agent-options.ts";
import { AgentCare } from "./care.ts";
import { Containers } from "./containers.ts";
import { Contents } from "./contents.ts";
import { Executor } from "./executor.ts";
import { forwardTarget } from "./forward-target.ts";
import { Grants } from "./grants.ts";
import { HttpIngress } from "./http-ingress.ts";
import { ImagePlatforms } from "./image-platforms.ts";
import type { NetworkTable } from "./network-table.ts";
import { PutOffImages } from "./put-off-images.ts";
import { ownTasksOf } from "./own-tasks.ts";
import { Readiness } from "./readiness.ts";
import { Reporter } from "./reporter.ts";
import { SharedNetworks } from "./shared-networks.ts";
import { Successors } from "./successors.ts";
import { TaskFiles } from "./task-files.ts";
import { TaskNetwork, type AgentNetwork } from "./task-network.ts";
import { VolumeRemovals } from "./volumes/volume-removals.ts";
import { Withdrawal } from "./withdrawal.ts";
import { Worker } from "./worker.ts";

const SAVE_RETRY_MS = 1000;
const WATCH_RETRY_MS = 1000;

/**
 * One node's agent: it keeps what it was last told on its own disk and makes it true. It answers
 * the server's calls, and works the same while the server is away.
 */
export class Agent implements AgentSession {
  readonly nodeId: NodeId;
  readonly #options: AgentOptions;
  readonly #containers: Containers;
  readonly #ports: PortClaims;
  readonly #shared: SharedNetworks;
  readonly #executor: Executor;
  readonly #images: ImagePlatforms;
  readonly #contents: Contents | undefined;
  readonly #grants: Grants;
  readonly #worker: Worker;
  readonly #reporter: Reporter;
  readonly #readiness: Readiness;
  readonly #successors: Successors;
  #httpIngress: HttpIngress | undefined;
  readonly #network: TaskNetwork | undefined;
  readonly #care: AgentCare;
  readonly volumes: VolumeCalls;
  readonly #removals: VolumeRemovals;
  readonly #saveTrouble: Trouble;
  readonly #watchTrouble: Trouble;
  readonly #putOff: PutOffImages;
  readonly #stopped = new AbortController();
  readonly #withdrawal: Withdrawal;
  #saveRetry: Timer | undefined;
  #watchRetry: Timer | undefined;

  constructor(options: AgentOptions) {
    const { clock, log, random, runtime, state, server, nodeId, network, secrets } = options;
    this.nodeId = nodeId;
    this.#options = options;
    this.#ports = new PortClaims(network?.range6 !== undefined);
    this.#withdrawal = new Withdrawal({ clock, tables: () => this.#network });
    this.#saveTrouble = new Trouble(log, "assignments can be saved again", "error");
    this.#watchTrouble = new Trouble(log, "the runtime tells of containers again");
    this.#containers = new Containers(runtime, (taskId) => {
      this.#worker.poke(taskId);
      this.#pokeSharers(taskId);
      this.networkTable?.refreshOwn();
      void this.#network?.leaveIfEmpty();
    });
    this.#images = new ImagePlatforms({
      runtime,
      platform: options.facts.platform,
      onForeign: (foreignImages) => options.onFacts?.({ foreignImages }),
    });
    this.#care = this.#newCare();
    this.volumes = this.#care.volumes;
    this.#putOff = new PutOffImages({
      ...options,
      link: () => this.networkTable?.link,
      onCame: () => this.#images.forget(),
    });
    this.#contents = secrets && new Contents(state, secrets.key, log);
    this.#grants = new Grants({
      node: { id: nodeId, ...options.facts },
      contents: this.#contents,
      files: secrets?.directory && new TaskFiles(secrets.directory),
    });
    this.#shared = new SharedNetworks({
      assignments: () => this.#worker.assignments(),
      containers: this.#containers,
    });
    this.#executor = this.#newExecutor();
    this.#removals = new VolumeRemovals({
      log,
      runtime,
      isWanted: (volume) => this.#executor.isMaking(volume),
      mayHold: (volume) => this.#care.mayHold(volume),
    });
    this.#readiness = this.#newReadiness();
    this.#worker = this.#newWorker();
    this.#successors = new Successors({
      clock,
      random,
      isLed: () => server.leads(),
      assignments: () => this.#worker.assignments(),
      status: (taskId) => this.#worker.status(taskId),
      place: (made, given) => this.#place(made, given),
      end: (taskId, message) =>
        this.#worker.setHealth(taskId, "unhealthy", { message, ending: true }),
    });
    this.#reporter = new Reporter({
      clock,
      log,
      save: (statuses) => state.saveStatus(statuses),
      send: (statuses) => server.report(nodeId, statuses),
    });
    this.#network = network && this.#newNetwork(network);
  }

  #newReadiness(): Readiness {
    return new Readiness({
      ...this.#options,
      containers: this.#containers,
      assignment: (taskId) => this.#worker.assignment(taskId),
      status: (taskId) => this.#worker.status(taskId),
      secretsOf: (assignment) => this.#grants.secretsOf(assignment),
      onNews: (taskId, news) => this.#worker.setHealth(taskId, news.health, news),
    });
  }

  #newExecutor(): Executor {
    const { clock, runtime, machine, site } = this.#options;
    return new Executor({
      clock,
      runtime,
      containers: this.#containers,
      images: this.#images,
      grants: this.#grants,
      machine,
      site,
      ports: this.#ports,
      network: () => this.#network,
      providerOf: (assignment) => this.#shared.providerOf(assignment),
      ...this.#care.forTasks(),
      withdraw: (taskId) => this.#withdrawal.withdraw(taskId),
    });
  }

  #newCare(): AgentCare {
    return new AgentCare({
      ...this.#options,
      containers: this.#containers,
      worker: () => this.#worker,
      onDisk: (disk) => this.#options.onFacts?.({ disk }),
      tell: (happenings) => this.#options.server.happened(this.nodeId, happenings),
    });
  }

  #newWorker(): Worker {
    const { clock, log, state } = this.#options;
    return new Worker({
      clock,
      log,
      containers: this.#containers,
      executor: this.#executor,
      readiness: this.#readiness,
      isCutOff: (assignment) => this.#shared.isCutOff(assignment),
      onStarting: (status) => state.saveStatus([status]),
      onStatus: (status) => this.#onStatus(status),
      onForget: (taskId) => this.#onForget(taskId),
    });
  }

  #newNetwork(network: AgentNetwork): TaskNetwork {
    const { nodeId, facts, clock, random, log, runtime, state, server } = this.#options;
    return new TaskNetwork({
      nodeId,
      network,
      facts,
      clock,
      random,
      log,
      runtime,
      ports: this.#ports,
      memory: state,
      ownTasks: () => ownTasksOf(this.#worker, this.#containers, this.#withdrawal.ids),
      serversOf: (taskId) => this.#worker.assignment(taskId)?.container.dns ?? [],
      isLed: () => server.leads(),
      isEmpty: () => this.#containers.isListed && this.#containers.isEmpty,
      onNotes: (notes) => this.#options.onNetworkNotes?.(notes),
    });
  }

  #newHttpIngress(): HttpIngress | undefined {
    const { ingress, clock, random, log, secrets } = this.#options;
    const table = this.networkTable;
    if (ingress === undefined || table === undefined) return undefined;
    const onFacts = (facts: NodeFacts["ingress"]) => this.#options.onFacts?.({ ingress: facts });
    const sealKey = secrets?.key;
    return new HttpIngress({ ...ingress, sealKey, clock, random, log, table, onFacts });
  }

  /** What this node knows of the cluster's network; undefined where its tasks have none. */
  get networkTable(): NetworkTable | undefined {
    return this.#network?.table;
  }

  /** Takes up what was there before, connects, and works until `stop`. */
  async start(): Promise<void> {
    await this.takeUp();
    await this.connect();
  }

  /** Goes on with what the node's own disk remembers, with or without a server. */
  async takeUp(): Promise<void> {
    const { state } = this.#options;
    this.#worker.restore(state.assignments(), state.statuses());
    this.#care.onRestored();
    await this.#network?.prepare();
    this.#httpIngress = this.#newHttpIngress();
    void this.#watchRuntime();
  }

  /** Resolves once a server has taken the agent in, however long that takes. */
  async connect(): Promise<void> {
    const { server, facts } = this.#options;
    this.#worker.beginSession();
    await server.hello(this, facts, {
      onResume: () => this.#resumeSession(),
      onLost: () => {
        this.networkTable?.lost();
        this.#successors.considerAll();
      },
      onRemoved: () => this.#network?.removed(),
    });
    this.#reportAll();
  }

  /** Ends the agent and leaves every container as it is. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#saveRetry?.cancel();
    this.#watchRetry?.cancel();
    this.#worker.close();
    this.#readiness.close();
    this.#successors.close();
    this.#care.close();
    this.#putOff.close();
    this.#reporter.close();
    await this.#httpIngress?.close();
    this.#network?.close();
    this.#options.server.goodbye(this.nodeId);
    await this.#ports.close();
  }

  /** Saves the set, then acts on it; a set that can't be saved yet is not acted on yet. */
  assign(set: AssignmentSet): void {
    const { state, log, clock } = this.#options;
    if (!this.#worker.accept(set)) {
      log.warn(`an assignment set of generation ${set.generation} is too old: refused`);
      return;
    }
    this.#saveRetry?.cancel();
    try {
      state.saveAssignments(set);
      this.#saveTrouble.over();
    } catch (error) {
      // A full disk passes; until then the node keeps to what it was told before.
      this.#saveTrouble.note(`assignments wait until they can be saved: ${messageChainOf(error)}`);
      this.#saveRetry = clock.after(SAVE_RETRY_MS, () => this.assign(set));
      return;
    }
    this.#worker.assign(set);
    this.#care.onSet(set.generation);
    this.networkTable?.refreshOwn();
    this.#contents?.retain(contentsNeeded(set.assignments));
  }

  network(source: NetworkSource): void {
    this.networkTable?.take(source);
  }

  successors(): Successor[] {
    return this.#successors.made();
  }

  generation(): number | undefined {
    return this.#options.state.assignments()?.generation;
  }

  async held(): Promise<Assignment[]> {
    return this.#worker.held();
  }

  logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return this.#options.runtime.logs(taskId, options, signal);
  }

  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    return this.#options.runtime.exec(taskId, options);
  }

  images(): Promise<ImageSummary[]> {
    return this.#options.runtime.images();
  }

  async usage(taskIds: readonly TaskId[]): Promise<NodeUsage> {
    const running = taskIds.filter((taskId) => this.#worker.status(taskId)?.state === "running");
    const [tasks, connections] = await Promise.all([
      this.#options.runtime.usage(running),
      this.#network?.connections() ?? {},
    ]);
    const requests = this.#httpIngress?.requests() ?? {};
    return { at: this.#options.clock.monotonicNow(), tasks, connections, requests };
  }

  fetchImages(references: readonly string[]): Promise<string[]> {
    return this.#putOff.fetch(references);
  }

  async pruneImages(keep: readonly string[]): Promise<string[]> {
    const { site } = this.#options;
    const used = [...this.#worker.assignments()].map(({ container }) => container.image);
    const removed = await this.#care.pruneImages(keep, () => site?.dropCopies([...keep, ...used]));
    if (removed.length > 0) this.#images.forget();
    return removed;
  }

  removeVolumes(names: readonly string[]): Promise<void> {
    return this.#removals.remove(names);
  }

  async lackedContents(refs: readonly ContentRef[]): Promise<ContentRef[]> {
    return this.#contents?.lacked(refs) ?? [...refs];
  }

  async takeContent(ref: ContentRef, bytes: Uint8Array | undefined): Promise<void> {
    const id = contentIdOf(ref);
    const users = [...this.#worker.assignments()].filter((one) => contentsNeeded([one]).has(id));
    if (users.length === 0 || this.#contents === undefined) {
      const message = "no task of the node needs this content";
      throw new OrchdError("conflict", message, { retryable: true });
    }
    this.#contents.take(ref, bytes);
    for (const { taskId } of users) this.#worker.poke(taskId);
  }

  async upgrade(order: UpgradeOrder): Promise<void> {
    const { upgrade } = this.#options;
    if (upgrade === undefined) throw new OrchdError("conflict", "this orchd can't be upgraded");
    await upgrade.follow(order);
  }

  async forward(taskId: TaskId, port: number): Promise<ByteStream> {
    const assignment = this.#worker.assignment(taskId);
    return connectTcp(forwardTarget(assignment, this.#containers), port);
  }

  /** The server calls this agent directly: there is no connection that could be closed. */
  close(): void {}

  /** The server may be another one, or one that was put back from a backup: it hears everything. */
  #resumeSession(): void {
    void this.#network?.resume();
    this.#worker.beginSession();
    this.#reportAll();
  }

  #reportAll(): void {
    for (const status of this.#worker.statuses()) this.#reporter.report(status);
  }

  /** Follows the runtime for as long as the agent lives: after a failed look it looks again. */
  async #watchRuntime(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopped;
    try {
      await this.#containers.watch(signal, () => this.#onListed());
    } catch (error) {
      // A runtime that restarts answers some calls and fails others; none of that is the end.
      this.#watchTrouble.note(`the runtime is looked at again soon: ${messageChainOf(error)}`);
    }
    if (signal.aborted) return;
    this.#watchRetry = clock.after(WATCH_RETRY_MS, () => void this.#watchRuntime());
  }

  #onListed(): void {
    this.#watchTrouble.over();
    this.#grants.sweep((taskId) => {
      const isKnown = this.#worker.assignment(taskId) !== undefined;
      return isKnown || this.#containers.get(taskId) !== undefined;
    });
    this.#care.onListed();
    this.#worker.pokeAll();
    this.#network?.doubt();
    for (const assignment of this.#worker.assignments()) {
      const status = this.#worker.status(assignment.taskId);
      if (status?.state !== "running") continue;
      void this.#holdPorts(assignment);
      this.#readiness.follow(assignment.taskId, false);
    }
  }

  /** Takes the ports of a task that was adopted; one that is created claims them before. */
  async #holdPorts({ taskId, ports, container }: Assignment): Promise<void> {
    if (container.networkMode !== "bridge") return;
    try {
      for (const port of ports) await this.#ports.claim(port, taskId);
    } catch (error) {
      // The rules in the kernel come first for packets, so the task goes on; but somebody lost.
      this.#options.log.warn(`task ${taskId} runs on: ${messageChainOf(error)}`);
    }
  }

  /** Tasks that are in the network of this one, or wait for it, follow it. */
  #pokeSharers(taskId: TaskId): void {
    const provider = this.#worker.assignment(taskId);
    if (provider === undefined) return;
    for (const sharer of this.#shared.sharersOf(provider)) this.#worker.poke(sharer);
  }

  #onStatus(status: TaskStatus): void {
    this.#reporter.report(status);
    this.#pokeSharers(status.taskId);
    this.networkTable?.refreshOwn();
    this.#successors.consider(status.taskId);
    if (status.held !== undefined) this.#readiness.forget(status.taskId);
    else if (status.state === "running") this.#readiness.follow(status.taskId, true);
    else if (isTerminal(status.state)) {
      this.#readiness.forget(status.taskId);
      void this.#executor.release(status.taskId);
    }
  }

  /**
   * Saves a task that was made here, then acts on it. The task before it stays, for its log and for
   * the server, unless it was made here too.
   */
  #place(made: Assignment, given: Assignment): void {
    const { state, log } = this.#options;
    const isOurs = given.predecessor !== undefined;
    const kept = [...this.#worker.assignments()].filter((one) => !isOurs || one !== given);
    const generation = state.assignments()?.generation ?? 0;
    const set = { generation, assignments: [...kept, made] };
    try {
      state.saveAssignments(set);
    } catch (error) {
      log.error(`task ${given.taskId} is started again later: ${messageChainOf(error)}`);
      throw error;
    }
    log.info(`task ${given.taskId} has ended: ${made.taskId} takes its place, with no server`);
    this.#worker.assign(set);
    this.networkTable?.refreshOwn();
  }

  #onForget(taskId: TaskId): void {
    this.#readiness.forget(taskId);
    this.#withdrawal.forget(taskId);
    this.#options.state.deleteStatus([taskId]);
    void this.#network?.leaveIfEmpty();
  }
}
