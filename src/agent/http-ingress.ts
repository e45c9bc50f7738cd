import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, messageOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { equalJson } from "../lib/order.ts";
import type { Random } from "../lib/random.ts";
import { RouteTable } from "../core/ingress/route-table.ts";
import type { HostCertificatesAnswer, HostCertificatesRequest } from "../model/join.ts";
import type { NetworkMap } from "../model/network-map.ts";
import type { NodeFacts } from "../model/node.ts";
import type { Served } from "../net/ingress/front-connection.ts";
import type { Listener } from "../net/ingress/listeners.ts";
import type { Proxy } from "../net/ingress/proxy.ts";
import { HostCertificates } from "./host-certificates.ts";

/** Another program may end, and leave its port. */
const RETRY_MS = 5000;
/** More sentences are read by nobody. */
const RUNNING_OUT_MAX = 5;
/** All addresses of this machine, of IPv6 and of IPv4. */
const ANYWHERE = "::";
const ANYWHERE_IPV4 = "0.0.0.0";

export type IngressFacts = NonNullable<NodeFacts["ingress"]>;

/** What a person chose for this node. */
export interface IngressChoice {
  /** Ports on which requests are taken; 0 takes none. */
  http: number;
  https: number;
  /** Whether each request has a line in the log. */
  log: boolean;
}

export const INGRESS_CHOICE_DEFAULT: IngressChoice = { http: 80, https: 443, log: false };

/** How the node takes requests for services. */
export interface AgentIngress {
  choice: IngressChoice;
  /** Where certificates for hosts are kept. */
  certificatesPath: string;
  /** Has a server issue certificates for hosts. */
  certify: (request: HostCertificatesRequest) => Promise<HostCertificatesAnswer>;
}

export interface HttpIngressOptions extends AgentIngress {
  clock: Clock;
  random: Random;
  log: Log;
  /** The map of the network, and who to call when it is another one. */
  table: { current(): NetworkMap; subscribe(listener: () => void): () => void };
  /** Seals keys that people gave for hosts; absent where those are not kept. */
  sealKey?: Uint8Array | undefined;
  /** Hears of it when a port can't be had, or can again. */
  onFacts: (facts: IngressFacts) => void;
}

type Scheme = "http" | "https";

/** The proxy with what it needs; loaded when the first service wants requests. */
interface Running {
  proxy: Proxy;
  certificates: HostCertificates;
  open(scheme: Scheme, host: string, port: number): Promise<Listener>;
}

/**
 * Takes requests for services on ports of this node. The ports are taken while some service wants
 * requests on them, and left to others otherwise.
 */
export class HttpIngress {
  readonly #options: HttpIngressOptions;
  readonly #listeners = new Map<Scheme, Listener>();
  readonly #problems = new Map<Scheme, string>();
  readonly #unsubscribe: () => void;
  #running: Promise<Running> | undefined;
  #proxy: Proxy | undefined;
  #wanted = new Set<Scheme>();
  #refreshing: Promise<void> = Promise.resolve();
  #isDue = false;
  #told: IngressFacts;
  #retry: Timer | undefined;
  #isClosed = false;

  constructor(options: HttpIngressOptions) {
    this.#options = options;
    this.#told = factsOf(options.choice, []);
    this.#unsubscribe = options.table.subscribe(() => void this.refresh());
    void this.refresh();
  }

  /** Resolves when the ports and routes are as the map said at the time of the call, or later. */
  refresh(): Promise<void> {
    if (this.#isDue) return this.#refreshing;
    this.#isDue = true;
    this.#refreshing = this.#refreshing.then(async () => {
      this.#isDue = false;
      if (!this.#isClosed) await this.#apply();
    });
    return this.#refreshing;
  }

  /** Requests that came in by this node for each service that wants them, by its id. */
  requests(): Record<string, number> {
    return this.#proxy?.requests() ?? {};
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#retry?.cancel();
    await this.#refreshing;
    for (const listener of this.#listeners.values()) listener.close();
    const running = await this.#running;
    running?.certificates.close();
    running?.proxy.close();
  }

  async #apply(): Promise<void> {
    const { choice, table, log } = this.#options;
    const routes = RouteTable.of(table.current());
    if (routes.routes.length === 0 && this.#running === undefined) return;
    const certified = routes.certifiedHosts();
    this.#wanted = new Set();
    if (choice.http > 0 && routes.routes.length > 0) this.#wanted.add("http");
    if (choice.https > 0 && certified.length > 0) this.#wanted.add("https");
    try {
      this.#running ??= this.#begin();
      const { proxy, certificates } = await this.#running;
      this.#proxy = proxy;
      proxy.setRoutes(routes);
      certificates.want(choice.https > 0 ? certified : []);
      for (const scheme of ["http", "https"] as const) await this.#settle(scheme);
      proxy.setHttpsPort(this.#listeners.has("https") ? choice.https : undefined);
    } catch (error) {
      log.error(`requests for services are not taken: ${messageChainOf(error)}`);
    }
    this.#tell();
  }

  async #begin(): Promise<Running> {
    const { clock, random, log, choice, certify, sealKey } = this.#options;
    const { certificatesPath: path } = this.#options;
    // Most nodes of most clusters never take a request.
    const [{ Proxy }, { listenHttp, listenHttps }] = await Promise.all([
      import("../net/ingress/proxy.ts"),
      import("../net/ingress/listeners.ts"),
    ]);
    const onServed = (served: Served) => log.info(formatServed(served));
    const proxy = new Proxy({ clock, random, ...(choice.log ? { onServed } : {}) });
    const onChange = () => this.#tell();
    const certificates = new HostCertificates({ path, sealKey, clock, log, certify, onChange });
    return {
      proxy,
      certificates,
      open: async (scheme, host, port) =>
        scheme === "http"
          ? listenHttp(proxy, host, port)
          : listenHttps(proxy, certificates, host, port),
    };
  }

  /** Takes a port that is wanted, or leaves one that is not. */
  async #settle(scheme: Scheme): Promise<void> {
    const listener = this.#listeners.get(scheme);
    const isWanted = this.#wanted.has(scheme);
    if (!isWanted) this.#problems.delete(scheme);
    if (isWanted === (listener !== undefined)) return;
    if (listener !== undefined) {
      listener.close();
      this.#listeners.delete(scheme);
      return;
    }
    try {
      this.#listeners.set(scheme, await this.#open(scheme));
      this.#problems.delete(scheme);
    } catch (error) {
      this.#problems.set(scheme, `${scheme.toUpperCase()}: ${messageOf(error)}`);
      this.#retry?.cancel();
      this.#retry = this.#options.clock.after(RETRY_MS, () => void this.refresh());
    }
  }

  async #open(scheme: Scheme): Promise<Listener> {
    const running = await this.#running;
    if (running === undefined) throw new OrchdError("internal", "the proxy is not there");
    const port = this.#options.choice[scheme];
    try {
      return await running.open(scheme, ANYWHERE, port);
    } catch (error) {
      if (error instanceof OrchdError && error.code === "conflict") throw error;
      // A machine without IPv6 has no such address.
      return running.open(scheme, ANYWHERE_IPV4, port);
    }
  }

  #tell(): void {
    void this.#running?.then(({ certificates }) => {
      if (this.#isClosed) return;
      const isSecure = this.#options.choice.https > 0;
      const missing = isSecure ? certificates.missing() : [];
      const problems = [...this.#problems.values()];
      if (missing.length > 0) problems.push(`no certificate yet for ${shortList(missing)}`);
      if (isSecure) problems.push(...certificates.runningOut().slice(0, RUNNING_OUT_MAX));
      const facts = factsOf(this.#options.choice, problems);
      if (equalJson(facts, this.#told)) return;
      for (const problem of facts.problems) {
        if (!this.#told.problems.includes(problem)) {
          this.#options.log.warn(`requests for services: ${problem}`);
        }
      }
      this.#told = facts;
      this.#options.onFacts(facts);
    });
  }
}

/** What the node says of itself. */
export function factsOf({ http, https }: IngressChoice, problems: string[]): IngressFacts {
  return { http, https, problems };
}

function shortList(hosts: readonly string[]): string {
  const [first = "", ...others] = hosts;
  return others.length === 0 ? first.slice(0, 253) : `${first} and ${others.length} more`;
}

/** One request, in the order of the log format that is common to web servers. */
function formatServed(served: Served): string {
  const { client, method, host, path, status, bytes, tookMs, endpoint = "-" } = served;
  const what = `"${method} ${host}${path}" ${status} ${bytes}`;
  return `${client} ${what} ${Math.round(tookMs)}ms ${endpoint}`;
}
