import type { PeerAnswer } from "../images/peer-answer.ts";
import type { Hono } from "hono";
import { join } from "node:path";
import { systemClock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { systemRandom } from "../lib/random.ts";
import { Membership } from "../agent/membership.ts";
import type { ApiEnv } from "../api/env.ts";
import { serveApi, type ApiListener } from "../api/listen.ts";
import type { GossipPreset } from "../model/gossip-preset.ts";
import type { NodeId } from "../model/ids.ts";
import type { HostCertificatesAnswer, HostCertificatesRequest } from "../model/join.ts";
import { nodeIdSchema } from "../model/ids.ts";
import { formatServerAddress } from "../model/server-address.ts";
import { tokenState } from "../model/token.ts";
import { discoveryKeyOf, hintOf } from "../net/discovery/message.ts";
import { openResponder } from "../net/discovery/responder.ts";
import type { MemberChange } from "../net/gossip/gossip-member.ts";
import { ownAddress, watchOwnAddress } from "../net/own-address.ts";
import { NODE_CERTIFICATE_MS } from "../pki/authority.ts";
import { digestOfCertificate } from "../pki/digest.ts";
import type { Welcome } from "../session/frames.ts";
import { Sessions } from "../session/sessions.ts";
import { LinkListener } from "../session/ws-link.ts";
import type { Store } from "../store/store.ts";
import { authorityIn, clusterIn } from "./cluster-keys.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { isPinned, type Joins } from "./joins.ts";
import { TlsPort } from "./port/tls-port.ts";
import { serverCertificate } from "./server-certificate.ts";
import type { Tokens } from "./tokens.ts";

/** Members that a node is told of when its session begins: enough to find the rest by. */
const PEERS_TOLD = 6;

export interface ListenOptions {
  /** An address of this machine, or 0.0.0.0 for all. */
  host: string;
  /** TCP: agents and people. 0 takes any that is free, as below. */
  port: number;
  /** UDP and TCP: the members of the cluster. */
  gossipPort: number;
  gossipPreset?: GossipPreset;
}

export interface RemoteOptions {
  listen: ListenOptions;
  /** The address of this machine that others are told; absent means the likeliest of its own. */
  advertise: string | undefined;
  dataDir: string;
  runDir: string;
  /** This machine's name and id among the members. */
  self: { id: string; name: string };
  store: Store;
  dispatcher: Dispatcher;
  tokens: Tokens;
  joins: Joins;
  api: Hono<ApiEnv>;
  /** Answers a node's request for an image. */
  images: (nodeId: NodeId, request: Request) => Promise<PeerAnswer>;
  log: Log;
  certifyHosts(request: HostCertificatesRequest): Promise<HostCertificatesAnswer>;
  onMember(nodeId: NodeId, change: MemberChange): void;
  /** What a member told all others. */
  onNotice(notice: string): void;
  /** The address of this machine changed. */
  onMoved(address: string): void;
}

/** Everything by which other machines reach this server: port, sessions, gossip, discovery. */
export class Remote {
  readonly #options: RemoteOptions;
  readonly #sessions: Sessions;
  readonly #links = new LinkListener();
  #people: ApiListener | undefined;
  #port: TlsPort | undefined;
  #membership: Membership | undefined;
  readonly #closers: (() => void)[] = [];

  private constructor(options: RemoteOptions) {
    this.#options = options;
    this.#sessions = new Sessions({
      clock: systemClock,
      log: options.log,
      server: options.dispatcher,
      welcome: (nodeId) => this.#welcome(nodeId),
    });
  }

  /** @throws OrchdError `conflict` when the port is taken, `forbidden`, `invalid` */
  static async open(options: RemoteOptions): Promise<Remote> {
    const remote = new Remote(options);
    try {
      await remote.#listen();
      await remote.#gossip();
      await remote.#answerDiscovery();
    } catch (error) {
      // A listener that is left would keep the process from ending.
      await remote.close();
      throw error;
    }
    if (options.advertise === undefined) {
      remote.#closers.push(watchOwnAddress(systemClock, (address) => remote.#moveTo(address)));
    }
    return remote;
  }

  /** Where others reach this server, as `ip:port`. */
  addresses(): string[] {
    if (this.#port === undefined) return [];
    return [formatServerAddress(this.#address, this.#port.port)];
  }

  /** Whether the node's session answers within `timeoutMs`. */
  probe(nodeId: NodeId, timeoutMs: number): Promise<boolean> {
    return this.#sessions.probe(nodeId, timeoutMs);
  }

  /** Ends the session of a node that is taken for gone. */
  endSession(nodeId: NodeId): void {
    this.#sessions.giveUp(nodeId);
  }

  /** Tells all members of the cluster, or one alone by its name. */
  notify(notice: string, only?: string): void {
    this.#membership?.notify(notice, only);
  }

  async close(): Promise<void> {
    for (const close of this.#closers) close();
    this.#sessions.close();
    this.#membership?.close();
    await this.#port?.close();
    await this.#people?.close();
  }

  get #address(): string {
    return this.#options.advertise ?? ownAddress();
  }

  async #listen(): Promise<void> {
    const { listen, dataDir, runDir, store, tokens, joins, api, log } = this.#options;
    const peopleSocket = join(runDir, "people.sock");
    this.#people = await serveApi(api, {
      socketPath: peopleSocket,
      guard: (authorization) => tokens.admit(authorization),
    });
    const authority = authorityIn(store.view());
    const port = await TlsPort.open({
      ...listen,
      server: await serverCertificate(join(dataDir, "server.pem"), authority),
      ca: authority.certificate,
      clock: systemClock,
      log,
      peopleSocket,
      isPinned: (nodeId, keyDigest) => isPinned(store.view().nodes.get(nodeId), keyDigest),
      renew: (peer, csr) => joins.renew(peer, csr),
      certifyHosts: (request) => this.#options.certifyHosts(request),
      images: this.#options.images,
      onSession: ({ nodeId }, request, socket, head) => {
        this.#links.upgrade(request, socket, head, (link) => this.#sessions.accept(link, nodeId));
      },
    });
    this.#port = port;
    this.#closers.push(
      store.watch(({ applied }) => {
        for (const { kind, before, after } of applied) {
          if (kind === "node" && before !== undefined && after === undefined) {
            void this.#expel(before.id);
          }
          if (kind === "cluster" && before !== undefined) this.#useNewKeys();
        }
      }),
    );
  }

  /** A node that was removed lets its tasks go, hears why, and is cut off. */
  async #expel(nodeId: NodeId): Promise<void> {
    await this.#sessions.dismiss(nodeId, this.#options.store.view().version);
    this.#port?.disconnect(nodeId);
  }

  /** The cluster's keys have changed: for this machine's own gossip, and for all nodes'. */
  #useNewKeys(): void {
    this.#membership?.useKeys(clusterIn(this.#options.store.view()).gossipKeys);
    this.#sessions.tellNews();
  }

  async #gossip(): Promise<void> {
    const { self, store, log, listen } = this.#options;
    const { gossipPreset: preset } = listen;
    this.#membership = await Membership.start({
      name: self.id,
      tags: { name: self.name, role: "server" },
      bind: { host: listen.host, port: listen.gossipPort },
      ...(preset && { preset }),
      address: this.#address,
      gossipKeys: clusterIn(store.view()).gossipKeys,
      clock: systemClock,
      random: systemRandom,
      log,
      onChange: (change) => {
        const nodeId = nodeIdSchema.safeParse(change.node).data;
        if (nodeId !== undefined) this.#options.onMember(nodeId, change);
      },
      onNotice: (notice) => this.#options.onNotice(notice),
    });
    const known = [...store.view().nodes.values()].filter(({ id }) => id !== self.id);
    const addresses = known.map(({ address }) => formatServerAddress(address, listen.gossipPort));
    // A server that comes back finds the others by itself, whoever of them is still there.
    void this.#membership.meet(addresses);
  }

  async #answerDiscovery(): Promise<void> {
    const { store, log } = this.#options;
    try {
      const responder = await openResponder({
        caDigest: digestOfCertificate(authorityIn(store.view()).certificate),
        keyOf: (hint) => this.#discoveryKeys().find((key) => hintOf(key).equals(hint)),
        addresses: () => this.addresses(),
        clock: systemClock,
      });
      this.#closers.push(() => responder.close());
    } catch (error) {
      log.warn(`nobody finds this server by multicast: ${String(error)}`);
    }
  }

  #discoveryKeys(): string[] {
    const view = this.#options.store.view();
    const now = systemClock.now();
    const tokens = [...view.tokens.values()].filter(
      (token) => token.kind === "join" && tokenState(token, now) === "valid",
    );
    const digests = tokens.map((token) => token.secretDigest);
    return [...clusterIn(view).gossipKeys.map(discoveryKeyOf), ...digests];
  }

  #welcome(nodeId: NodeId): Welcome {
    const view = this.#options.store.view();
    const node = view.nodes.get(nodeId);
    const expiresAt = node?.certificateExpiresAt;
    const now = systemClock.now();
    return {
      serverTime: now,
      serverId: this.#options.self.id,
      ...(node?.subnet === undefined ? {} : { subnet: node.subnet }),
      gossipKeys: clusterIn(view).gossipKeys,
      peers: this.#membership?.peers(PEERS_TOLD) ?? [],
      servers: this.addresses(),
      ...(expiresAt === undefined
        ? {}
        : { renewAfterMs: Math.max(0, expiresAt - NODE_CERTIFICATE_MS / 2 - now) }),
    };
  }

  #moveTo(address: string): void {
    this.#options.log.info(`this machine is reached by ${address} from now on`);
    this.#membership?.moveTo(address);
    this.#options.onMoved(address);
  }
}
