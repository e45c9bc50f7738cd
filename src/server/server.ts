import type { Hono } from "hono";
import { hostname } from "node:os";
import { join } from "node:path";
import { assert } from "../lib/assert.ts";
import { systemClock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import { systemRandom } from "../lib/random.ts";
import { conflictOf } from "../core/network/routes.ts";
import { serverSubnet } from "../core/network/subnets.ts";
import { CLUSTER_RANGE_DEFAULT } from "../model/cluster.ts";
import type { NodeId } from "../model/ids.ts";
import { NOTES_MAX, type NodeFacts } from "../model/node.ts";
import type { AgentSession } from "../model/session.ts";
import { Agent } from "../agent/agent.ts";
import { HOST_CERTIFICATES } from "../agent/host-certificates.ts";
import { factsOf, INGRESS_CHOICE_DEFAULT } from "../agent/http-ingress.ts";
import { DeviceWatch } from "../agent/device-watch.ts";
import { beginDiskCare } from "../agent/disk-care.ts";
import { readFacts } from "../agent/facts.ts";
import { SiteImages } from "../agent/site-images.ts";
import { siteExecutables } from "../agent/upgrade/site-executables.ts";
import { memoryDirectory } from "../agent/memory-directory.ts";
import { createApi } from "../api/api.ts";
import type { ApiDeps } from "../api/deps.ts";
import type { ApiEnv } from "../api/env.ts";
import { serveApi, type ApiListener } from "../api/listen.ts";
import { chooseRuntime, isReal, openRuntime } from "../runtime/open.ts";
import type { Runtime } from "../runtime/driver.ts";
import { openAgentState, type AgentState } from "../store/agent-state/agent-state.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite/sqlite-store.ts";
import { Autoscaler } from "./autoscaler.ts";
import { Bundles } from "./bundles/bundles.ts";
import { Care } from "./care.ts";
import { clusterIn } from "./cluster-keys.ts";
import { Controllers } from "./controllers.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { ServerOptions } from "./server-options.ts";
import { makePrivateDirectory } from "../store/private-directory.ts";
import { explainTarget } from "./explain-target.ts";
import { FirstHearing, wasJustRestored } from "./first-hearing.ts";
import { ensureCluster, firstToken } from "./first-start.ts";
import { GossipKeys } from "./gossip-keys.ts";
import { RolloutImages } from "./rollout-images.ts";
import { ImageIndex } from "./image-index.ts";
import { KeptImages } from "./kept-images.ts";
import { LinkUse } from "../images/link-use.ts";
import { noteSubnet, ownContentKey, ownNodeId } from "./own-node.ts";
import { NetworkFeed } from "./network-feed.ts";
import { Joins } from "./joins.ts";
import { type ListenOptions, Remote } from "./remote.ts";
import { Tokens } from "./tokens.ts";
import { lockNetwork } from "../net/machine-lock.ts";
import { NODE_BRIDGE, NodeNetwork } from "../net/node-network.ts";
import { ownAddress } from "../net/own-address.ts";
import { ownRoutes } from "../net/routes.ts";
import { NodeHealth } from "./node-health.ts";
import { Upgrades } from "./upgrades/upgrades.ts";
import { VirtualIps } from "./virtual-ips.ts";
import { Secrets } from "./vault/secrets.ts";
import { Writes } from "./writes.ts";

/** The agent of this machine, with what it holds. */
interface OwnAgent {
  agent: Agent;
  runtime: Runtime;
  state: AgentState;
  facts: NodeFacts;
  devices: DeviceWatch | undefined;
}

/** The control plane, with an agent on the same machine unless it was told otherwise. */
export class Server {
  readonly socketPath: string;
  readonly #options: ServerOptions;
  readonly #store: SqliteStore;
  readonly #health: NodeHealth;
  readonly #images: ImageIndex;
  readonly #rolloutImages: RolloutImages;
  readonly #network: NetworkFeed;
  readonly #dispatcher: Dispatcher;
  #controllers: Controllers | undefined;
  readonly #autoscaler: Autoscaler;
  readonly #virtualIps: VirtualIps;
  readonly #tokens: Tokens;
  readonly #joins: Joins;
  readonly #care: Care;
  readonly #hearing = new FirstHearing(() => this.#decide());
  #secrets: Secrets | undefined;
  #site: SiteImages | undefined;
  #kept: KeptImages | undefined;
  #upgrades: Upgrades | undefined;
  #listening: ApiListener | undefined;
  #api: Hono<ApiEnv> | undefined;
  #remote: Remote | undefined;
  #firstToken: string | undefined;
  #lock: { release: () => void } | undefined;
  #agent: OwnAgent | undefined;
  readonly #session = (nodeId: NodeId) => this.#dispatcher.session(nodeId);

  private constructor(options: ServerOptions, store: SqliteStore) {
    this.#options = options;
    this.#store = store;
    this.socketPath = join(options.runDir, "orchd.sock");
    this.#health = new NodeHealth({
      store,
      clock: systemClock,
      log: options.log,
      probe: (nodeId, timeoutMs) => this.#probe(nodeId, timeoutMs),
      endSession: (nodeId) => this.#remote?.endSession(nodeId),
    });
    this.#images = new ImageIndex({ store, log: options.log });
    this.#rolloutImages = new RolloutImages({ store, log: options.log, session: this.#session });
    this.#dispatcher = new Dispatcher(
      store,
      systemClock,
      this.#health,
      (session) => this.#onSession(session),
      (happening) => this.#care.tell(happening),
    );
    this.#network = new NetworkFeed({
      store,
      clock: systemClock,
      sessions: () => this.#dispatcher.sessions(),
    });
    this.#autoscaler = new Autoscaler({
      store,
      clock: systemClock,
      log: options.log,
      session: this.#session,
    });
    this.#virtualIps = new VirtualIps({ store, clock: systemClock, log: options.log });
    const servers = () => this.addresses();
    const deps = { store, clock: systemClock, random: systemRandom, servers };
    this.#tokens = new Tokens(deps);
    this.#joins = new Joins(deps);
    this.#care = new Care({
      store,
      clock: systemClock,
      log: options.log,
      dataDir: options.dataDir,
      orchdVersion: options.version.version,
      backups: options.backups,
      session: this.#session,
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
    const isRestored = wasJustRestored(server.#store.view());
    try {
      server.#care.start();
      server.#checkRange();
      const { clusterRange: range, network: mode, ipv6 } = options;
      await ensureCluster(server.#store, systemClock, { range, mode, ipv6 });
      await server.#listen(await server.#openSite());
    } catch (error) {
      // Whoever tries again, with another port, finds the state free.
      await server.stop();
      throw error;
    }
    server.#health.start();
    server.#hearing.begin(isRestored, systemClock, options.log);
    return server;
  }

  #onSession(session: AgentSession): void {
    void this.#images.learn(session);
    this.#upgrades?.look();
    this.#network.greet(session);
    this.#hearing.onSession(this.#store.view(), (id) => this.#session(id) !== undefined);
  }

  #decide(): void {
    this.#controllers = new Controllers({
      store: this.#store,
      clock: systemClock,
      random: systemRandom,
      log: this.#options.log,
      sessions: () => this.#dispatcher.sessions(),
      isOutOfTouch: (nodeId) => this.#health.isOutOfTouch(nodeId),
      hasImage: (nodeId, image) => this.#images.has(nodeId, image),
      strategy: this.#options.strategy,
    });
    this.#controllers.start();
    this.#autoscaler.start();
    this.#virtualIps.start();
    this.#care.decide();
    // One that is tried itself may end at any moment.
    if (this.#options.upgrade?.isTrial !== true) this.#upgrades?.start();
  }

  /**
   * A new cluster takes no range that leads elsewhere from here. One that is there goes on.
   * @throws OrchdError `conflict`
   */
  #checkRange(): void {
    const { agent, runtime, clusterRange, log } = this.#options;
    if (!agent || !isReal(runtime)) return;
    const known = this.#store.view().cluster;
    const range = known?.range ?? clusterRange ?? CLUSTER_RANGE_DEFAULT;
    const conflict = conflictOf(range, ownRoutes());
    if (conflict === undefined) return;
    if (known === undefined) throw new OrchdError("conflict", conflict);
    log.warn(conflict);
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
    const [api, kept] = [this.#api, this.#kept];
    assert(
      api !== undefined && kept !== undefined,
      "the API is there before it is opened to others",
    );
    this.#remote = await Remote.open({
      listen,
      certifyHosts: (request) => this.#required().certifyHosts(request),
      advertise,
      dataDir,
      runDir,
      api,
      images: (nodeId, request) => kept.answerNode(nodeId, request),
      log,
      self: { id: agent?.agent.nodeId ?? this.#store.clusterId, name: hostname() },
      store: this.#store,
      dispatcher: this.#dispatcher,
      tokens: this.#tokens,
      joins: this.#joins,
      onMember: (nodeId, change) => {
        const { after } = change;
        agent?.agent.networkTable?.noteMember(change);
        if (after === undefined) this.#health.forgetMember(nodeId);
        else this.#health.noteMember(nodeId, after.state);
      },
      onNotice: (notice) => agent?.agent.networkTable?.hear(notice),
      onMoved: (address) => void this.#tellFacts({ address }),
    });
    agent?.agent.networkTable?.announceBy(this.#remote);
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
    const { dataDir, runDir, sockets = {}, advertise, log, version } = this.#options;
    const { processes } = this.#options;
    const kind = chooseRuntime(this.#options.runtime, sockets, processes);
    if (this.#options.runtime === "auto") log.info(`tasks are run by ${kind}`);
    const { range, range6 } = clusterIn(this.#store.view());
    const subnet = serverSubnet(range);
    const kernel = isReal(kind) ? NodeNetwork.of(dataDir) : undefined;
    const network = kernel && {
      interfaceName: NODE_BRIDGE,
      subnet,
      ...(range6 === undefined ? {} : { range6 }),
      kernel,
    };
    if (network !== undefined) this.#lock = await lockNetwork(NODE_BRIDGE);
    const state = openAgentState(join(dataDir, "agent.db"));
    const nodeId = ownNodeId(this.#store.view(), state, log);
    this.#dispatcher.setOwnNode(nodeId);
    const shared = { clock: systemClock, random: systemRandom };
    const own = { nodeId, runDir, dataDir, sockets, processes, ...shared };
    const runtime = await openRuntime(kind, own);
    const devices = isReal(kind) ? await DeviceWatch.begin(systemClock) : undefined;
    const { disk, diskPaths } = await beginDiskCare(runtime, dataDir);
    const { ingress: choice = INGRESS_CHOICE_DEFAULT } = this.#options;
    const found = readFacts({
      runtime: await runtime.info(),
      processes: processes !== undefined,
      address: advertise ?? ownAddress(),
      orchdVersion: version.version,
      resources: this.#options.resources ?? {},
      devices: devices?.found,
      wireguardKey: await kernel?.wireguardKey(),
      ingress: network === undefined ? undefined : factsOf(choice, []),
      executable: this.#options.upgrade?.facts(),
    });
    const facts = { ...found, disk };
    const directory = isReal(kind) ? { directory: memoryDirectory(runDir, nodeId) } : {};
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
      ingress: {
        choice,
        certificatesPath: join(dataDir, HOST_CERTIFICATES),
        certify: (request) => this.#required().certifyHosts(request),
      },
      secrets: { key: await ownContentKey(state), ...directory },
      ...(devices === undefined ? {} : { machine: () => devices.found }),
      ...(this.#site === undefined ? {} : { site: this.#site }),
      ...(this.#options.upgrade && { upgrade: this.#options.upgrade }),
      dataDir,
      diskPaths,
      binds: { allowed: this.#options.allowBind, own: [dataDir, runDir], processes },
      onFacts: (news) => void this.#tellFacts(news),
      onNetworkNotes: (notes) => void this.#tellFacts({ notes: notes.slice(0, NOTES_MAX) }),
    });
    this.#agent = { agent, runtime, state, facts, devices };
    devices?.watch((found) => void this.#tellFacts(found));
    await agent.start();
    if (isReal(kind)) await noteSubnet(this.#store, nodeId, subnet);
  }

  /** Stops answering and deciding; containers go on. */
  async stop(): Promise<void> {
    await this.#remote?.close();
    await this.#listening?.close();
    this.#hearing.close();
    this.#care.close();
    this.#upgrades?.close();
    this.#controllers?.close();
    this.#health.close();
    this.#images.close();
    this.#rolloutImages.close();
    this.#network.close();
    this.#autoscaler.close();
    this.#virtualIps.close();
    if (this.#agent !== undefined) {
      const { agent, runtime, state, devices } = this.#agent;
      devices?.close();
      await agent.stop();
      await runtime.close();
      state.close();
    }
    this.#lock?.release();
    await this.#site?.close();
    this.#secrets?.close();
    this.#dispatcher.close();
    await this.#store.close();
  }

  async #openSite(): Promise<SiteImages> {
    const { dataDir, log } = this.#options;
    const guard = (authorization: string | undefined) => this.#tokens.admit(authorization);
    const { upstream } = this.#options;
    const link = new LinkUse(systemClock, () => this.#agent?.agent.networkTable?.link);
    const open = { dataDir, log, clock: systemClock, guard, link, ...(upstream && { upstream }) };
    const site = await SiteImages.open(open);
    this.#site = site;
    this.#options.upgrade?.useSource(siteExecutables(site));
    return site;
  }

  #required(): Secrets {
    assert(this.#secrets !== undefined, "secrets are there before anybody is answered");
    return this.#secrets;
  }

  async #openSecrets(): Promise<Secrets> {
    const secrets = await Secrets.open({
      store: this.#store,
      clock: systemClock,
      random: systemRandom,
      log: this.#options.log,
      dataDir: this.#options.dataDir,
      session: this.#session,
    });
    this.#secrets = secrets;
    this.#dispatcher.onAssigned = (session, set) => secrets.courier.onAssigned(session, set);
    return secrets;
  }

  #newUpgrades({ store: images }: SiteImages): Upgrades {
    const { log, agent: hasAgent, version } = this.#options;
    const deps = { store: this.#store, images, clock: systemClock, random: systemRandom, log };
    this.#upgrades = new Upgrades({
      ...deps,
      session: this.#session,
      versionOfLoneServer: () => (hasAgent ? undefined : version.version),
    });
    return this.#upgrades;
  }

  async #listen(site: SiteImages): Promise<void> {
    const store = this.#store;
    const sessions = () => this.#dispatcher.sessions();
    const { log } = this.#options;
    const kept = new KeptImages({ site, store, sessions, clock: systemClock, log });
    this.#kept = kept;
    const upgrades = this.#newUpgrades(site);
    const secrets = await this.#openSecrets();
    const writes = new Writes(store, systemClock, systemRandom, secrets);
    const applyStack: ApiDeps["applyStack"] = async (name, spec, options) => {
      const result = await writes.applyStack(name, spec, options);
      secrets.items.forget(spec);
      return result;
    };
    const bundles = new Bundles({
      store,
      images: site.store,
      items: secrets.items,
      dataDir: this.#options.dataDir,
      applyStack,
      fetchImages: (references) => kept.fetch(references, {}),
    });
    const api = createApi({
      store,
      version: this.#options.version,
      clock: systemClock,
      log,
      applyStack,
      bundles: bundles.forPeople(),
      removeStack: (name, options) => writes.removeStack(name, options),
      scale: (replicas) => writes.scale(replicas),
      restart: (id) => writes.restart(id),
      orderRollout: (id, order) => writes.orderRollout(id, order),
      undoStack: (name, to) => writes.undoStack(name, to),
      setAvailability: (id, availability, deadlineMs) =>
        writes.setAvailability(id, availability, deadlineMs),
      runJob: (id) => writes.runJob(id),
      setLabels: (id, change) => writes.setLabels(id, change),
      setLink: (id, change) => writes.setLink(id, change),
      removeNode: async (id, options) => {
        await writes.removeNode(id, options);
        await this.#dispatcher.dismiss(id);
      },
      healthReason: (id) => this.#health.verdict(id).reason,
      explain: (target) =>
        explainTarget(store.view(), target, systemClock.now(), {
          autoscaling: (id) => this.#autoscaler.reason(id),
          health: (id) => this.#health.verdict(id).reason,
        }),
      join: (request) => this.#joins.join(request),
      createToken: (request) => this.#tokens.create(request),
      rotateToken: (id) => this.#tokens.rotate(id),
      revokeToken: (id) => this.#tokens.revoke(id),
      gossipKeys: new GossipKeys(store),
      ...this.#care.forPeople(),
      secrets: secrets.forPeople(),
      images: kept,
      upgrades: upgrades.forPeople(),
      session: this.#session,
      sessions,
    });
    this.#api = api;
    this.#listening = await serveApi(api, { socketPath: this.socketPath });
  }
}
