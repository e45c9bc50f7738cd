import type { Hono } from "hono";
import { hostname } from "node:os";
import { join } from "node:path";
import { assert } from "../lib/assert.ts";
import { systemClock, type Timer } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { systemRandom } from "../lib/random.ts";
import { SERVER_SUBNET } from "../core/network/subnets.ts";
import { put } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import type { NodeFacts } from "../model/node.ts";
import type { AgentSession } from "../model/session.ts";
import type { VersionInfo } from "../model/summary.ts";
import { Agent } from "../agent/agent.ts";
import { DeviceWatch } from "../agent/device-watch.ts";
import { beginDiskCare } from "../agent/disk-care.ts";
import { readFacts } from "../agent/facts.ts";
import { createApi } from "../api/api.ts";
import type { ApiEnv } from "../api/env.ts";
import { serveApi, type ApiListener } from "../api/listen.ts";
import type { Target } from "../api/read/target.ts";
import { mountNamed } from "../api/read/volume-summary.ts";
import { openRuntime, type RuntimeKind } from "../runtime/open.ts";
import type { Runtime } from "../runtime/driver.ts";
import { openAgentState, type AgentState } from "../store/agent-state/agent-state.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite/sqlite-store.ts";
import { Autoscaler } from "./autoscaler.ts";
import { type BackupSchedule, ClusterBackups } from "./backup/cluster-backups.ts";
import { Controllers } from "./controllers.ts";
import { commitFresh } from "./commit-fresh.ts";
import { DiskRelief } from "./disk-relief.ts";
import { Dispatcher } from "./dispatcher.ts";
import { makePrivateDirectory } from "../store/private-directory.ts";
import { explainService, explainTask } from "./explain.ts";
import { explainNode } from "./explain-node.ts";
import { ensureCluster, firstToken } from "./first-start.ts";
import { GossipKeys } from "./gossip-keys.ts";
import { Happenings } from "./happenings.ts";
import { ImageIndex } from "./image-index.ts";
import { Joins } from "./joins.ts";
import { type ListenOptions, Remote } from "./remote.ts";
import { Tokens } from "./tokens.ts";
import { lockNetwork } from "../net/machine-lock.ts";
import { ownAddress } from "../net/own-address.ts";
import { NodeHealth } from "./node-health.ts";
import { VolumeMoves } from "./volume-moves.ts";
import { Writes } from "./writes.ts";

export interface ServerOptions {
  /** Holds the state: what must survive. */
  dataDir: string;
  /** Holds sockets: what may be gone after a reboot. */
  runDir: string;
  runtime: RuntimeKind;
  /** Whether this machine runs tasks too. */
  agent: boolean;
  /** Use the Podman service on this socket, instead of looking for one or starting one. */
  podmanSocket?: string;
  /** The address of this machine that others are told; absent means the likeliest of its own. */
  advertise?: string;
  /** How much this machine has of what people gave a name. */
  resources?: Readonly<Record<string, number>>;
  /** Directories of this machine that tasks may mount; absent means all but orchd's own. */
  allowBind?: readonly string[];
  /** Backups that the server makes by itself; absent means none. */
  backups?: BackupSchedule;
  version: VersionInfo;
  log: Log;
}

/** The agent of this machine, with what it holds. */
interface OwnAgent {
  agent: Agent;
  runtime: Runtime;
  state: AgentState;
  facts: NodeFacts;
  devices: DeviceWatch | undefined;
}

/** For so long a cluster that was put back from a backup decides nothing. */
const HEAR_FIRST_MS = 30_000;
const NODE_NETWORK = { interfaceName: "orchd0", subnet: SERVER_SUBNET };

/** The control plane, with an agent on the same machine unless it was told otherwise. */
export class Server {
  readonly socketPath: string;
  readonly #options: ServerOptions;
  readonly #store: SqliteStore;
  readonly #health: NodeHealth;
  readonly #images: ImageIndex;
  readonly #dispatcher: Dispatcher;
  #controllers: Controllers | undefined;
  #relief: DiskRelief | undefined;
  #quiet: Timer | undefined;
  readonly #autoscaler: Autoscaler;
  readonly #tokens: Tokens;
  readonly #joins: Joins;
  readonly #backups: ClusterBackups;
  readonly #moves: VolumeMoves;
  readonly #happenings = new Happenings();
  #listening: ApiListener | undefined;
  #api: Hono<ApiEnv> | undefined;
  #remote: Remote | undefined;
  #firstToken: string | undefined;
  #lock: { release: () => void } | undefined;
  #agent: OwnAgent | undefined;

  private constructor(options: ServerOptions, store: SqliteStore) {
    this.#options = options;
    this.#store = store;
    this.socketPath = join(options.runDir, "orchd.sock");
    this.#health = new NodeHealth({
      store,
      clock: systemClock,
      log: options.log,
      probe: (nodeId, timeoutMs) => this.#probe(nodeId, timeoutMs),
    });
    this.#images = new ImageIndex({ store, log: options.log });
    this.#dispatcher = new Dispatcher(
      store,
      systemClock,
      this.#health,
      (session) => this.#onSession(session),
      (happening) => this.#happenings.tell(happening),
    );
    this.#autoscaler = new Autoscaler({
      store,
      clock: systemClock,
      log: options.log,
      session: (nodeId) => this.#dispatcher.session(nodeId),
    });
    const servers = () => this.addresses();
    const deps = { store, clock: systemClock, random: systemRandom, servers };
    this.#tokens = new Tokens(deps);
    this.#joins = new Joins(deps);
    this.#moves = new VolumeMoves({
      store,
      clock: systemClock,
      log: options.log,
      session: (nodeId) => this.#dispatcher.session(nodeId),
      mountOf: mountNamed,
      onHappening: (happening) => this.#happenings.tell(happening),
    });
    this.#backups = new ClusterBackups({
      source: {
        store,
        dataDir: options.dataDir,
        orchdVersion: options.version.version,
        now: () => systemClock.now(),
      },
      schedule: options.backups,
      clock: systemClock,
      log: options.log,
      onHappening: (happening) => this.#happenings.tell(happening),
    });
  }

  /**
   * Opens the state and answers the API.
   * @throws OrchdError when the directories, the state or the socket can't be had
   */
  static async open(options: ServerOptions): Promise<Server> {
    await makePrivateDirectory(options.dataDir, "--data-dir");
    await makePrivateDirectory(options.runDir, "--run-dir");
    const server = new Server(options, await openSqliteStore(join(options.dataDir, "server.db")));
    try {
      await ensureCluster(server.#store, systemClock);
      server.#backups.start();
      await server.#listen();
    } catch (error) {
      // Whoever tries again, with another port, finds the state free.
      await server.stop();
      throw error;
    }
    server.#health.start();
    server.#beginDeciding();
    return server;
  }

  /** A cluster that was just put back from a backup first hears of its nodes what it forgot. */
  #beginDeciding(): void {
    const { cluster, version } = this.#store.view();
    if (cluster?.restored?.to !== version) return this.#decide();
    const seconds = HEAR_FIRST_MS / 1000;
    this.#options.log.info(
      `the cluster was put back from a backup: it listens to its nodes for ${seconds} s first`,
    );
    this.#quiet = systemClock.after(HEAR_FIRST_MS, () => this.#decide());
  }

  /** Whoever waits for nodes waits no longer once all of them were heard. */
  #onSession(session: AgentSession): void {
    void this.#images.learn(session);
    if (this.#quiet === undefined || this.#controllers !== undefined) return;
    const nodes = [...this.#store.view().nodes.values()].filter(({ roles }) => roles.agent);
    if (nodes.every(({ id }) => this.#dispatcher.session(id) !== undefined)) this.#decide();
  }

  #decide(): void {
    this.#quiet?.cancel();
    this.#controllers = new Controllers({
      store: this.#store,
      clock: systemClock,
      random: systemRandom,
      log: this.#options.log,
      sessions: () => this.#dispatcher.sessions(),
      isOutOfTouch: (nodeId) => this.#health.isOutOfTouch(nodeId),
      hasImage: (nodeId, image) => this.#images.has(nodeId, image),
    });
    this.#controllers.start();
    this.#autoscaler.start();
    this.#relief = new DiskRelief({
      store: this.#store,
      clock: systemClock,
      log: this.#options.log,
      session: (nodeId) => this.#dispatcher.session(nodeId),
    });
    this.#moves.start().catch((error: unknown) => {
      this.#options.log.error(`moves of volumes: ${messageChainOf(error)}`);
    });
  }

  /** Where others reach this server, as `ip:port`; nowhere when it listens on its socket alone. */
  addresses(): string[] {
    return this.#remote?.addresses() ?? [];
  }

  /**
   * Answers other machines: agents with a certificate, people with a token.
   * @throws OrchdError when the port can't be had
   */
  async openPort(listen: ListenOptions): Promise<void> {
    const { dataDir, runDir, log, advertise } = this.#options;
    const agent = this.#agent;
    const api = this.#api;
    assert(api !== undefined, "the API is there before it is opened to others");
    this.#remote = await Remote.open({
      listen,
      advertise,
      dataDir,
      runDir,
      api,
      log,
      self: { id: agent?.agent.nodeId ?? this.#store.clusterId, name: hostname() },
      store: this.#store,
      dispatcher: this.#dispatcher,
      tokens: this.#tokens,
      joins: this.#joins,
      onMember: (nodeId, { after }) => {
        if (after === undefined) this.#health.forgetMember(nodeId);
        else this.#health.noteMember(nodeId, after.state, systemClock.now());
      },
      onMoved: (address) => void this.#tellFacts({ address }),
    });
    this.#firstToken = await firstToken(this.#store, systemClock, systemRandom);
  }

  /** The agent of this process answers as long as the process does. */
  async #probe(nodeId: NodeId, timeoutMs: number): Promise<boolean> {
    if (nodeId === this.#agent?.agent.nodeId) return true;
    return (await this.#remote?.probe(nodeId, timeoutMs)) ?? false;
  }

  /** This machine's node is reached by another address, or has other devices. */
  async #tellFacts(news: Partial<NodeFacts>): Promise<void> {
    if (this.#agent === undefined) return;
    this.#agent.facts = { ...this.#agent.facts, ...news };
    try {
      await this.#dispatcher.hello(this.#agent.agent, this.#agent.facts);
    } catch (error) {
      const what = Object.keys(news).join(", ");
      this.#options.log.warn(
        `the node's new ${what} is not written down: ${messageChainOf(error)}`,
      );
    }
  }

  /** The token that was made with the cluster. Answered once, by the start that made it. */
  takeFirstToken(): string | undefined {
    const token = this.#firstToken;
    this.#firstToken = undefined;
    return token;
  }

  /**
   * Starts this machine's agent, which takes up every container that it left.
   * @throws OrchdError when its state or its runtime can't be had
   */
  async startAgent(): Promise<void> {
    const { dataDir, runDir, runtime: kind, podmanSocket, advertise, log, version } = this.#options;
    const network = kind === "podman" ? NODE_NETWORK : undefined;
    if (network !== undefined) this.#lock = await lockNetwork(network.interfaceName);
    const state = openAgentState(join(dataDir, "agent.db"));
    const nodeId = this.#ownNodeId(state);
    this.#dispatcher.setOwnNode(nodeId);
    const socket = podmanSocket === undefined ? {} : { socket: podmanSocket };
    const shared = { clock: systemClock, random: systemRandom };
    const runtime = await openRuntime(kind, { nodeId, runDir, ...shared, ...socket });
    const devices = kind === "podman" ? await DeviceWatch.begin(systemClock) : undefined;
    const { disk, diskPaths } = await beginDiskCare(runtime, dataDir);
    const found = readFacts({
      runtime: await runtime.info(),
      address: advertise ?? ownAddress(),
      orchdVersion: version.version,
      resources: this.#options.resources ?? {},
      devices: devices?.found,
    });
    const facts = { ...found, disk };
    const agent = new Agent({
      nodeId,
      clock: systemClock,
      random: systemRandom,
      log,
      runtime,
      state,
      server: this.#dispatcher,
      facts,
      network,
      ...(devices === undefined ? {} : { machine: () => devices.found }),
      dataDir,
      diskPaths,
      binds: { allowed: this.#options.allowBind, own: [dataDir, runDir] },
      onFacts: (news) => void this.#tellFacts(news),
    });
    this.#agent = { agent, runtime, state, facts, devices };
    devices?.watch((found) => void this.#tellFacts(found));
    await agent.start();
    if (kind === "podman") await this.#noteSubnet(nodeId);
  }

  /** Other nodes get their ranges by joining; this one has its own by being the server's. */
  async #noteSubnet(nodeId: NodeId): Promise<void> {
    await commitFresh(this.#store, (view) => {
      const node = view.nodes.get(nodeId);
      if (node === undefined || node.subnet === SERVER_SUBNET) return [];
      return [put.node({ ...node, subnet: SERVER_SUBNET })];
    });
  }

  /** Stops answering and deciding; containers go on. */
  async stop(): Promise<void> {
    await this.#remote?.close();
    await this.#listening?.close();
    this.#backups.close();
    this.#quiet?.cancel();
    this.#moves.close();
    this.#relief?.close();
    this.#controllers?.close();
    this.#health.close();
    this.#images.close();
    this.#autoscaler.close();
    if (this.#agent !== undefined) {
      const { agent, runtime, state, devices } = this.#agent;
      devices?.close();
      await agent.stop();
      await runtime.close();
      state.close();
    }
    this.#lock?.release();
    this.#dispatcher.close();
    await this.#store.close();
  }

  /**
   * Which node this machine is. The cluster's state knows, also when the agent's was lost. A
   * cluster that knows of no node is a new one: what the agent remembers was told by another, and
   * containers from then, which carry the old id, are left alone.
   */
  #ownNodeId(state: AgentState): NodeId {
    const own = [...this.#store.view().nodes.values()].find((node) => node.roles.server);
    const remembered = state.loadNodeId();
    if (own !== undefined && own.id === remembered) return own.id;
    if (remembered !== undefined) {
      this.#options.log.warn(
        `this machine was node ${remembered} of another cluster: its containers are left alone`,
      );
      state.saveAssignments({ generation: 0, assignments: [] });
      state.deleteStatus(state.statuses().map((status) => status.taskId));
    }
    const nodeId = own?.id ?? newId<"node">(systemRandom);
    state.saveNodeId(nodeId);
    return nodeId;
  }

  async #listen(): Promise<void> {
    const store = this.#store;
    const writes = new Writes(store, systemClock, systemRandom);
    const api = createApi({
      store,
      version: this.#options.version,
      clock: systemClock,
      log: this.#options.log,
      applyStack: (name, spec, options) => writes.applyStack(name, spec, options),
      removeStack: (name, options) => writes.removeStack(name, options),
      scale: (replicas) => writes.scale(replicas),
      restart: (id) => writes.restart(id),
      orderRollout: (id, order) => writes.orderRollout(id, order),
      undoStack: (name, to) => writes.undoStack(name, to),
      setAvailability: (id, availability, deadlineMs) =>
        writes.setAvailability(id, availability, deadlineMs),
      runJob: (id) => writes.runJob(id),
      setLabels: (id, change) => writes.setLabels(id, change),
      removeNode: async (id, options) => {
        await writes.removeNode(id, options);
        await this.#dispatcher.dismiss(id);
      },
      healthReason: (id) => this.#health.verdict(id).reason,
      explain: (target) => this.#explain(target),
      join: (request) => this.#joins.join(request),
      createToken: (request) => this.#tokens.create(request),
      rotateToken: (id) => this.#tokens.rotate(id),
      revokeToken: (id) => this.#tokens.revoke(id),
      gossipKeys: new GossipKeys(store),
      moveVolumes: (move, tell) => this.#moves.move(move, tell),
      onHappening: (listener) => this.#happenings.listen(listener),
      clusterBackup: {
        make: (passphrase) => this.#backups.make(passphrase),
        status: () => this.#backups.status(),
      },
      session: (nodeId: NodeId) => this.#dispatcher.session(nodeId),
      sessions: () => this.#dispatcher.sessions(),
    });
    this.#api = api;
    this.#listening = await serveApi(api, { socketPath: this.socketPath });
  }

  #explain(target: Exclude<Target, { kind: "stack" }>) {
    const view = this.#store.view();
    const now = systemClock.now();
    switch (target.kind) {
      case "task":
        return explainTask(view, target.task, now);
      case "service":
        return explainService(view, target.service, now, {
          autoscaling: this.#autoscaler.reason(target.service.id),
        });
      case "node":
        return explainNode(view, target.node, this.#health.verdict(target.node.id).reason, now);
    }
  }
}
