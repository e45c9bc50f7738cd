import { join } from "node:path";
import { systemClock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { systemRandom } from "../lib/random.ts";
import { TrustedClock } from "../lib/trusted-clock.ts";
import type { HostCertificatesAnswer, HostCertificatesRequest, Identity } from "../model/join.ts";
import type { GossipPreset } from "../model/gossip-preset.ts";
import type { NodeLink } from "../model/link.ts";
import type { MapNode } from "../model/network-map.ts";
import { NOTES_MAX, type NodeFacts } from "../model/node.ts";
import { conflictOf } from "../core/network/routes.ts";
import { discoverServers } from "../net/discovery/discover.ts";
import { discoveryKeyOf } from "../net/discovery/message.ts";
import { lockNetwork } from "../net/machine-lock.ts";
import { NODE_BRIDGE, NodeNetwork } from "../net/node-network.ts";
import { ownAddress, watchOwnAddress } from "../net/own-address.ts";
import { ownRoutes } from "../net/routes.ts";
import { SERVER_NAME } from "../model/server-address.ts";
import { caDigestOf, issuedAt } from "../pki/read.ts";
import { chooseRuntime, isReal, openRuntime } from "../runtime/open.ts";
import type { RuntimeChoice, RuntimeSockets } from "../runtime/open.ts";
import type { Runtime } from "../runtime/driver.ts";
import type { Welcome } from "../session/frames.ts";
import { ServerConnection } from "../session/server-connection.ts";
import { openAgentState, type AgentState } from "../store/agent-state/agent-state.ts";
import { makePrivateDirectory } from "../store/private-directory.ts";
import { Agent } from "./agent.ts";
import { contentKeyOf } from "./contents.ts";
import { DeviceWatch } from "./device-watch.ts";
import { beginDiskCare } from "./disk-care.ts";
import { enrol } from "./enrol.ts";
import { readFacts } from "./facts.ts";
import { HOST_CERTIFICATES } from "./host-certificates.ts";
import { factsOf, INGRESS_CHOICE_DEFAULT, type IngressChoice } from "./http-ingress.ts";
import { askForHostCertificates, renewCertificate } from "./join.ts";
import { Membership } from "./membership.ts";
import { type NodeImages, openImages } from "./node-images.ts";
import { memoryDirectory, type MemoryDirectory } from "./memory-directory.ts";
import { Renewal } from "./renewal.ts";
import type { SelfUpgrade } from "./upgrade/self-upgrade.ts";
import { siteExecutables } from "./upgrade/site-executables.ts";
import { Reachability } from "./reachability.ts";

const FIND_TIMEOUT_MS = 3000;

export interface AgentRoleOptions {
  /** Holds what must survive: identity, assignments, statuses. */
  dataDir: string;
  /** Holds sockets: what may be gone after a reboot. */
  runDir: string;
  runtime: RuntimeChoice;
  /** Sockets of runtimes that are not where they usually are. */
  sockets: RuntimeSockets;
  /** See `EnrolOptions`. */
  token: string | undefined;
  servers: readonly string[];
  labels: Readonly<Record<string, string>>;
  /** How its link may be used, from when it joins on. */
  link?: NodeLink;
  /** How much there is of what people gave a name. */
  resources?: Readonly<Record<string, number>>;
  /** Directories that tasks may mount; absent means all but orchd's own. */
  allowBind?: readonly string[];
  /** Directories whose programs tasks may run without a container; absent means that none may. */
  processes?: readonly string[];
  name: string | undefined;
  /** The address by which others reach this node; absent means the likeliest of its own. */
  advertise?: string;
  /** UDP and TCP: where it meets the other members of the cluster. */
  gossipPort: number;
  gossipPreset?: GossipPreset;
  /** Where it takes requests for services; absent means the usual ports. */
  ingress?: IngressChoice;
  orchdVersion: string;
  /** Absent where orchd can't become another executable. */
  upgrade?: SelfUpgrade;
  log: Log;
}

/** What the role holds of the machine, before it knows which node it is. */
interface Machine {
  state: AgentState;
  clock: TrustedClock;
  lock: { release: () => void } | undefined;
  images: NodeImages;
  /** Absent where the runtime can give no devices. */
  devices: DeviceWatch | undefined;
  diskPaths: readonly string[];
  /** For files that are in memory alone; absent where containers have no files. */
  directory: MemoryDirectory | undefined;
  /** Absent where tasks send no packets. */
  network: NodeNetwork | undefined;
}

/**
 * A node's agent as a process of its own: it joins once, and from then on takes up its tasks at
 * every start, whether a server answers or not.
 */
export class AgentRole {
  readonly #options: AgentRoleOptions;
  readonly #machine: Machine;
  #identity: Identity;
  readonly #runtime: Runtime;
  readonly #connection: ServerConnection;
  readonly #agent: Agent;
  #facts: NodeFacts;
  #membership: Membership | undefined;
  /** Where members gossip, as the latest welcome told. */
  #peers: readonly string[] = [];
  #reachability: Reachability | undefined;
  /** The cluster's range, as this machine's routes were held against it last. */
  #range = "";
  #conflict: string | undefined;
  readonly #renewal: Renewal;
  #unwatch = () => {};
  readonly #notes = new Map<string, readonly string[]>();

  private constructor(
    options: AgentRoleOptions,
    machine: Machine,
    { identity, runtime, facts }: { identity: Identity; runtime: Runtime; facts: NodeFacts },
  ) {
    this.#options = options;
    this.#machine = machine;
    this.#identity = identity;
    this.#runtime = runtime;
    this.#facts = facts;
    const { log } = options;
    const { state, clock, devices, directory, network: kernel } = machine;
    this.#renewal = new Renewal({ clock: systemClock, log, renew: () => this.#renew() });
    this.#connection = new ServerConnection({
      clock,
      log,
      random: systemRandom,
      servers: [...new Set([...options.servers, ...identity.servers])],
      tls: () => {
        const { caCertificate: ca, certificate: cert, key } = this.#identity;
        return { ca, cert, key, serverName: SERVER_NAME };
      },
      findServers: () => this.#findServers(),
      renew: () => this.#renewal.now(),
      onWelcome: (welcome) => this.#onWelcome(welcome),
      onTime: (serverTime, roundTripMs) => clock.learn(serverTime + roundTripMs / 2),
    });
    const { subnet, range6 } = identity;
    this.#agent = new Agent({
      nodeId: identity.nodeId,
      clock,
      random: systemRandom,
      log,
      runtime,
      state,
      server: this.#connection,
      facts,
      secrets: {
        key: contentKeyOf(identity.key),
        ...(directory === undefined ? {} : { directory }),
      },
      network:
        subnet === undefined
          ? undefined
          : {
              interfaceName: NODE_BRIDGE,
              subnet,
              ...(range6 === undefined ? {} : { range6 }),
              ...(kernel && { kernel }),
            },
      ingress: {
        choice: options.ingress ?? INGRESS_CHOICE_DEFAULT,
        certificatesPath: join(options.dataDir, HOST_CERTIFICATES),
        certify: (request) => this.#certifyHosts(request),
      },
      ...(devices === undefined ? {} : { machine: () => devices.found }),
      site: machine.images.site,
      ...(options.upgrade === undefined ? {} : { upgrade: options.upgrade }),
      dataDir: options.dataDir,
      diskPaths: machine.diskPaths,
      binds: {
        allowed: options.allowBind,
        own: [options.dataDir, options.runDir],
        processes: options.processes,
      },
      onFacts: (news) => this.#tellFacts(news),
      onNetworkNotes: (notes) => this.#note("network", notes),
    });
  }

  /**
   * Joins the cluster if this machine has not, and takes up its tasks.
   * @throws OrchdError when it is no node and can't become one, or state or runtime can't be had
   */
  static async start(options: AgentRoleOptions): Promise<AgentRole> {
    const { dataDir, runDir, advertise, name, log, sockets } = options;
    await makePrivateDirectory(dataDir, "--data-dir");
    await makePrivateDirectory(runDir, "--run-dir");
    const { processes } = options;
    const kind = chooseRuntime(options.runtime, sockets, processes);
    if (options.runtime === "auto") log.info(`tasks are run by ${kind}`);
    const lock = isReal(kind) ? await lockNetwork(NODE_BRIDGE) : undefined;
    const state = openAgentState(join(dataDir, "agent.db"));
    const clock = newClock(state, log);
    const devices = isReal(kind) ? await DeviceWatch.begin(systemClock) : undefined;
    const network = isReal(kind) ? NodeNetwork.of(dataDir) : undefined;
    const wireguardKey = await network?.wireguardKey();
    const { token, servers, labels, link, resources = {}, orchdVersion, upgrade } = options;
    // Without a network of their own, tasks have no address that requests could be sent to.
    const choice = options.ingress ?? INGRESS_CHOICE_DEFAULT;
    const ingress = isReal(kind) ? factsOf(choice, []) : undefined;
    const facts = async (opened?: Runtime) => {
      const info = (await opened?.info()) ?? { name: kind, version: "" };
      const address = advertise ?? ownAddress();
      const found = devices?.found;
      const executable = upgrade?.facts();
      const isAllowed = processes !== undefined;
      const own = { runtime: info, address, devices: found, wireguardKey, ingress, executable };
      return readFacts({ ...own, processes: isAllowed, orchdVersion, resources });
    };
    const identity = await enrol({
      state,
      token,
      servers,
      labels,
      ...(link && { link }),
      name,
      clock,
      log,
      facts: () => facts(),
    });
    const { nodeId } = identity;
    const runtime = await openRuntime(kind, {
      nodeId,
      runDir,
      dataDir,
      clock,
      random: systemRandom,
      sockets,
      processes,
    });
    const { disk, diskPaths } = await beginDiskCare(runtime, dataDir);
    const own = { ...(await facts(runtime)), hostname: identity.name, notes: [], disk };
    const directory = isReal(kind) ? memoryDirectory(runDir, nodeId) : undefined;
    // The node's own identity changes with its certificate; the state has it as it is now.
    const current = () => state.loadIdentity() ?? identity;
    const known = { members: () => role?.otherNodes() ?? [], link: () => role?.link() };
    const images = await openImages({ dataDir, log, nodeId, identity: current, ...known });
    upgrade?.useSource(siteExecutables(images.site));
    const machine = { state, clock, lock, devices, directory, network, diskPaths, images };
    const role: AgentRole = new AgentRole(options, machine, { identity, runtime, facts: own });
    await role.#begin();
    return role;
  }

  /** Ends the agent and leaves every container as it is. */
  async stop(): Promise<void> {
    this.#unwatch();
    this.#renewal.stop();
    this.#machine.devices?.close();
    await this.#agent.stop();
    this.#reachability?.stop();
    this.#membership?.close();
    await this.#runtime.close();
    await this.#machine.images.close();
    this.#machine.state.close();
    this.#machine.lock?.release();
  }

  /** How the node's link may be used, as far as it has heard of that. */
  link(): NodeLink | undefined {
    return this.#agent.networkTable?.link;
  }

  /** Other nodes of the cluster, as far as this one knows them. */
  otherNodes(): MapNode[] {
    const nodes = this.#agent.networkTable?.current().nodes ?? [];
    return nodes.filter(({ id }) => id !== this.#identity.nodeId);
  }

  async #begin(): Promise<void> {
    const { advertise, gossipPort, gossipPreset: preset, log } = this.#options;
    await this.#agent.takeUp();
    this.#agent.networkTable?.subscribe(() => this.#checkRange());
    this.#checkRange();
    this.#machine.devices?.watch((found) => this.#tellFacts(found));
    // Resolves at the first session, or not at all when the agent stops before.
    const connected = this.#agent.connect();
    connected.then(
      () => this.#options.upgrade?.confirm(),
      () => undefined,
    );
    this.#membership = await Membership.start({
      name: this.#identity.nodeId,
      tags: { name: this.#identity.name, role: "agent" },
      bind: { host: "0.0.0.0", port: gossipPort },
      ...(preset && { preset }),
      address: this.#facts.address,
      gossipKeys: this.#identity.gossipKeys,
      clock: systemClock,
      random: systemRandom,
      log,
      onChange: (change) => this.#agent.networkTable?.noteMember(change),
      onNotice: (notice) => this.#agent.networkTable?.hear(notice),
    });
    this.#agent.networkTable?.announceBy(this.#membership);
    // A welcome may have come meanwhile.
    this.#membership.useKeys(this.#identity.gossipKeys);
    const { trouble } = this.#membership;
    if (trouble === undefined) this.#reachability = this.#newReachability(this.#membership);
    else this.#note("gossip", [trouble]);
    this.#meet();
    if (advertise === undefined) {
      this.#unwatch = watchOwnAddress(systemClock, (address) => this.#moveTo(address));
    }
  }

  /** What is blocked is told to the server too, since people look there. */
  #newReachability(pings: Membership): Reachability {
    return new Reachability({
      pings,
      clock: systemClock,
      log: this.#options.log,
      isConnected: () => this.#connection.isConnected,
      onChange: (notes) => this.#note("gossip", notes),
    });
  }

  #note(about: "gossip" | "network" | "routes", notes: readonly string[]): void {
    this.#notes.set(about, notes);
    this.#tellFacts({ notes: [...this.#notes.values()].flat().slice(0, NOTES_MAX) });
  }

  /** A node whose machine routes the cluster's range elsewhere goes on, and people are told. */
  #checkRange(): void {
    const { generation = 0, range } = this.#agent.networkTable?.current() ?? {};
    if (range === undefined || generation === 0 || range === this.#range) return;
    this.#range = range;
    const conflict = conflictOf(range, ownRoutes());
    if (conflict === this.#conflict) return;
    this.#conflict = conflict;
    if (conflict !== undefined) this.#options.log.warn(conflict);
    this.#note("routes", conflict === undefined ? [] : [conflict]);
  }

  #tellFacts(news: Partial<NodeFacts>): void {
    this.#facts = { ...this.#facts, ...news };
    this.#connection.setFacts(this.#facts);
  }

  /** Looks for the members that the server told of, which may be before gossip has begun. */
  #meet(): void {
    void this.#membership?.meet(this.#peers);
    // The first is the server's own.
    const [server] = this.#peers;
    if (server !== undefined) this.#reachability?.watch(server);
  }

  #onWelcome(welcome: Welcome): void {
    const { clock } = this.#machine;
    clock.learn(welcome.serverTime);
    const { gossipKeys, peers, renewAfterMs } = welcome;
    const { servers } = welcome.servers.length > 0 ? welcome : this.#identity;
    this.#save({ ...this.#identity, servers, gossipKeys });
    this.#membership?.useKeys(gossipKeys);
    this.#peers = peers;
    this.#meet();
    if (renewAfterMs !== undefined) this.#renewal.dueIn(renewAfterMs);
  }

  /** What can't be saved now is told again by the next session. */
  #save(identity: Identity): void {
    this.#identity = identity;
    try {
      this.#machine.state.saveIdentity(identity);
    } catch (error) {
      this.#options.log.error(`what the server told is not on disk: ${messageChainOf(error)}`);
    }
  }

  /** Gets a new certificate for the same key from the first server that gives one. */
  async #renew(): Promise<void> {
    const { certificate, serverTime } = await this.#askServers((server) =>
      renewCertificate(this.#identity, server),
    );
    this.#machine.clock.learn(serverTime);
    this.#save({ ...this.#identity, certificate });
    this.#machine.images.renew();
    this.#options.log.info("the node has a new certificate");
  }

  #certifyHosts(request: HostCertificatesRequest): Promise<HostCertificatesAnswer> {
    return this.#askServers((server) => askForHostCertificates(this.#identity, server, request));
  }

  /** What the first server answers that can be reached. */
  async #askServers<T>(ask: (server: string) => Promise<T>): Promise<T> {
    let problem: unknown = new OrchdError("unreachable", "no address of a server is known");
    for (const server of this.#identity.servers) {
      try {
        return await ask(server);
      } catch (error) {
        // Another server may be in reach; what the last one said is told.
        problem = error;
      }
    }
    throw problem;
  }

  #findServers(): Promise<string[]> {
    const { caCertificate, gossipKeys } = this.#identity;
    const key = discoveryKeyOf(gossipKeys[0] ?? "");
    const caDigest = caDigestOf(caCertificate);
    return discoverServers({ caDigest, key, timeoutMs: FIND_TIMEOUT_MS, clock: systemClock });
  }

  /** The machine has another address: those who knew the old one are told. */
  #moveTo(address: string): void {
    this.#options.log.info(`this machine is reached by ${address} from now on`);
    this.#membership?.moveTo(address);
    this.#tellFacts({ address });
  }
}

/** The clock knows that it is later than when the certificate was issued, and than it ever was. */
function newClock(state: AgentState, log: Log): TrustedClock {
  const certificate = state.loadIdentity()?.certificate;
  const issued = certificate === undefined ? 0 : issuedAt(certificate);
  return new TrustedClock({
    system: systemClock,
    floor: Math.max(state.loadClockFloor() ?? 0, issued),
    onFloor: (floor) => {
      try {
        state.saveClockFloor(floor);
      } catch (error) {
        // A full disk: the next life begins with an older floor.
        log.warn(`the time is not on disk: ${messageChainOf(error)}`);
      }
    },
  });
}
