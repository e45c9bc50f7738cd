import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { Trouble } from "../lib/trouble.ts";
import { Zone, type Question, type ZoneAnswer } from "../core/network/zone.ts";
import { ZONE } from "../core/network/zone-names.ts";
import type { NodeId, TaskId } from "../model/ids.ts";
import type { NetworkMap } from "../model/network-map.ts";
import { withBridgeAddress, type BridgeAddress } from "../net/bridge-address.ts";
import { ClientLimit } from "../net/dns/client-limit.ts";
import { Forwarder } from "../net/dns/forwarder.ts";
import { ResolvConfFile, type ResolvConf } from "../net/dns/resolv-conf.ts";
import { Responder, type Response } from "../net/dns/responder.ts";
import { DNS_PORT, listenDns } from "../net/dns/server.ts";
import type { Listening } from "../net/dns/udp-server.ts";
import type { Upstream } from "../net/dns/upstream.ts";
import type { Resolver } from "../runtime/driver.ts";

const BIND_RETRY_MS = 2000;
/** A zone of thousands of tasks takes some milliseconds to make: at most a tenth of the time. */
const ZONE_SHARE = 10;

/** Where the newest map of the cluster's network is. */
export interface MapSource {
  readonly nodeId: NodeId;
  current(): NetworkMap;
  /** Calls when there is another one; answers how to stop. */
  subscribe(listener: () => void): () => void;
}

export interface NameServerOptions {
  bridge: BridgeAddress;
  source: MapSource;
  /** The name servers that a task is to use for names outside; none means those of the machine. */
  serversOf: (taskId: TaskId) => readonly string[];
  clock: Clock;
  /** Milliseconds that only grow. */
  now: () => number;
  random: Random;
  log: Log;
  /** These differ in tests. */
  port?: number;
  upstreamPort?: number;
  resolvConf?: ResolvConfFile;
}

/** The node's name server, on its bridge: for the tasks of this node and for people on it. */
export class NameServer {
  readonly #options: NameServerOptions;
  readonly #forwarder: Forwarder;
  readonly #responder: Responder;
  readonly #file: ResolvConfFile;
  readonly #unsubscribe: () => void;
  #conf: ResolvConf | undefined;
  #zone: Zone | undefined;
  /** There is a newer map than that of the zone. */
  #isOutdated = true;
  /** When a newer zone may be made, unless it is needed before. */
  #nextZoneAt = 0;
  #listening: Listening | undefined;
  #retry: Timer | undefined;
  readonly #trouble: Trouble;
  #isClosed = false;

  constructor(options: NameServerOptions) {
    this.#options = options;
    const overText = "tasks find each other by name from now on";
    this.#trouble = new Trouble(options.log, overText, "error");
    const { clock, now, random, source, resolvConf } = options;
    this.#file = resolvConf ?? new ResolvConfFile(now);
    this.#forwarder = new Forwarder({ clock, now });
    const names = {
      admits: (asker: string) => this.#zoneFor(asker).admits(asker),
      answer: (question: Question, asker: string): ZoneAnswer =>
        this.#zoneFor(asker).answer(question, asker, random),
    };
    this.#responder = new Responder({
      names,
      forwarder: this.#forwarder,
      limit: new ClientLimit(),
      upstreamsOf: (asker) => this.#upstreamsOf(asker),
      now,
    });
    this.#unsubscribe = source.subscribe(() => {
      this.#isOutdated = true;
    });
  }

  /** The port on which it answers; undefined while it can't. */
  get port(): number | undefined {
    return this.#listening?.port;
  }

  /**
   * Begins to answer. Where that fails it is tried again until it works: tasks run without names
   * rather than not at all. No container may be started meanwhile; see `withBridgeAddress`.
   */
  async start(): Promise<void> {
    const { bridge } = this.#options;
    await this.#listen(async () => {
      try {
        return await this.#bind();
      } catch (error) {
        if (systemCodeOf(error) !== "EADDRNOTAVAIL") throw error;
        return withBridgeAddress(bridge, () => this.#bind());
      }
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#unsubscribe();
    this.#listening?.close();
    this.#listening = undefined;
  }

  /** What is said to a datagram that came from an address. */
  respond(packet: Buffer, asker: string): Response {
    return this.#responder.respond(packet, asker, "udp");
  }

  /** What a new container is told of names. */
  resolver(): Resolver {
    const { search } = this.#file.current();
    return { server: this.#options.bridge.address, search: [...new Set([ZONE, ...search])] };
  }

  async #bind(): Promise<Listening> {
    const { bridge, port = DNS_PORT, clock } = this.#options;
    return listenDns({ host: bridge.address, port, responder: this.#responder, clock });
  }

  async #listen(bind: () => Promise<Listening>): Promise<void> {
    const { clock } = this.#options;
    try {
      const listening = await bind();
      if (this.#isClosed) return listening.close();
      this.#listening = listening;
      this.#trouble.over();
    } catch (error) {
      this.#trouble.note(`tasks find no names: ${messageChainOf(this.#explain(error))}`);
      if (this.#isClosed) return;
      // With the first container the runtime makes the bridge.
      const again = () => void this.#listen(() => this.#bind());
      this.#retry = clock.after(BIND_RETRY_MS, again);
    }
  }

  #explain(cause: unknown): unknown {
    const { bridge, port = DNS_PORT } = this.#options;
    const code = systemCodeOf(cause);
    if (code === "EADDRINUSE") {
      const message =
        `another program has port ${port} of ${bridge.address}; ` +
        "let that name server listen on addresses of its own";
      return new OrchdError("conflict", message, { cause });
    }
    if (code !== "EADDRNOTAVAIL") return cause;
    const message = `the bridge ${bridge.name} is not there yet`;
    return new OrchdError("runtime", message, { cause });
  }

  /**
   * Made with a question rather than with a change, which may come faster than questions do. For a
   * part of a second somebody may get an answer of before; one that is new here never does.
   */
  #zoneFor(asker: string): Zone {
    const { source, now } = this.#options;
    const known = this.#zone;
    if (known !== undefined) {
      if (!this.#isOutdated) return known;
      if (now() < this.#nextZoneAt && known.knows(asker)) return known;
    }
    const begin = now();
    const zone = new Zone(source.current(), source.nodeId);
    const end = now();
    this.#zone = zone;
    this.#isOutdated = false;
    this.#nextZoneAt = end + (end - begin) * ZONE_SHARE;
    return zone;
  }

  /** A task's own name servers, or the machine's; never this one, which would ask itself. */
  #upstreamsOf(asker: string): Upstream[] {
    const { bridge, serversOf, upstreamPort = DNS_PORT } = this.#options;
    const taskId = this.#zoneFor(asker).taskAt(asker);
    const own = taskId === undefined ? [] : serversOf(taskId);
    const conf = this.#file.current();
    if (conf !== this.#conf) {
      if (this.#conf !== undefined) this.#forwarder.forget();
      this.#conf = conf;
    }
    const hosts = own.length > 0 ? own : conf.nameservers;
    return hosts
      .filter((host) => host !== bridge.address)
      .map((host) => ({ host, port: upstreamPort }));
  }
}
