import { join } from "node:path";
import { systemClock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import { systemRandom } from "../lib/random.ts";
import type { NodeId } from "../model/ids.ts";
import type { VersionInfo } from "../model/summary.ts";
import { Agent } from "../agent/agent.ts";
import { readFacts } from "../agent/facts.ts";
import { createApi } from "../api/api.ts";
import { serveApi, type ApiListener } from "../api/listen.ts";
import type { Target } from "../api/read/target.ts";
import { openRuntime, type RuntimeKind } from "../runtime/open.ts";
import type { Runtime } from "../runtime/driver.ts";
import { openAgentState, type AgentState } from "../store/agent-state/agent-state.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite/sqlite-store.ts";
import { Controllers } from "./controllers.ts";
import { Dispatcher } from "./dispatcher.ts";
import { makePrivateDirectory } from "../store/private-directory.ts";
import { explainService, explainTask } from "./explain.ts";
import { explainNode } from "./explain-node.ts";
import { lockNetwork } from "../net/machine-lock.ts";
import { ownAddress } from "../net/own-address.ts";
import { NodeHealth } from "./node-health.ts";
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
  version: VersionInfo;
  log: Log;
}

/** The range of this node's tasks; the whole cluster's is 10.210.0.0/16. */
const NODE_NETWORK = { interfaceName: "orchd0", subnet: "10.210.1.0/24" };

/** The control plane, with an agent on the same machine unless it was told otherwise. */
export class Server {
  readonly socketPath: string;
  readonly #options: ServerOptions;
  readonly #store: SqliteStore;
  readonly #health: NodeHealth;
  readonly #dispatcher: Dispatcher;
  readonly #controllers: Controllers;
  #listening: ApiListener | undefined;
  #lock: { release: () => void } | undefined;
  #agent: { agent: Agent; runtime: Runtime; state: AgentState } | undefined;

  private constructor(options: ServerOptions, store: SqliteStore) {
    this.#options = options;
    this.#store = store;
    this.socketPath = join(options.runDir, "orchd.sock");
    this.#health = new NodeHealth({
      store,
      clock: systemClock,
      log: options.log,
      // The agent of this process answers as long as the process does.
      probe: async (nodeId) => this.#dispatcher.session(nodeId) !== undefined,
    });
    this.#dispatcher = new Dispatcher(store, systemClock, this.#health);
    this.#controllers = new Controllers({
      store,
      clock: systemClock,
      random: systemRandom,
      log: options.log,
      sessions: () => this.#dispatcher.sessions(),
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
    await server.#listen();
    server.#controllers.start();
    server.#health.start();
    return server;
  }

  /**
   * Starts this machine's agent, which takes up every container that it left.
   * @throws OrchdError when its state or its runtime can't be had
   */
  async startAgent(): Promise<void> {
    const { dataDir, runDir, runtime: kind, podmanSocket, log, version } = this.#options;
    const network = kind === "podman" ? NODE_NETWORK : undefined;
    if (network !== undefined) this.#lock = await lockNetwork(network.interfaceName);
    const state = openAgentState(join(dataDir, "agent.db"));
    const nodeId = this.#ownNodeId(state);
    this.#dispatcher.setOwnNode(nodeId);
    const socket = podmanSocket === undefined ? {} : { socket: podmanSocket };
    const shared = { clock: systemClock, random: systemRandom };
    const runtime = await openRuntime(kind, { nodeId, runDir, ...shared, ...socket });
    const facts = readFacts(await runtime.info(), ownAddress(), version.version);
    const agent = new Agent({
      nodeId,
      clock: systemClock,
      log,
      runtime,
      state,
      server: this.#dispatcher,
      facts,
      network,
    });
    this.#agent = { agent, runtime, state };
    await agent.start();
  }

  /** Stops answering and deciding; containers go on. */
  async stop(): Promise<void> {
    await this.#listening?.close();
    this.#controllers.close();
    this.#health.close();
    if (this.#agent !== undefined) {
      const { agent, runtime, state } = this.#agent;
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
      setAvailability: (id, availability) => writes.setAvailability(id, availability),
      setLabels: (id, change) => writes.setLabels(id, change),
      removeNode: async (id, options) => {
        await writes.removeNode(id, options);
        await this.#dispatcher.dismiss(id);
      },
      healthReason: (id) => this.#health.verdict(id).reason,
      explain: (target) => this.#explain(target),
      session: (nodeId: NodeId) => this.#dispatcher.session(nodeId),
      sessions: () => this.#dispatcher.sessions(),
    });
    this.#listening = await serveApi(api, { socketPath: this.socketPath });
  }

  #explain(target: Exclude<Target, { kind: "stack" }>) {
    const view = this.#store.view();
    const now = systemClock.now();
    switch (target.kind) {
      case "task":
        return explainTask(view, target.task, now);
      case "service":
        return explainService(view, target.service, now);
      case "node":
        return explainNode(view, target.node, this.#health.verdict(target.node.id).reason, now);
    }
  }
}
