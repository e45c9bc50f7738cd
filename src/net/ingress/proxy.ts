import type { Clock, Timer } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import { RouteTable } from "../../core/ingress/route-table.ts";
import { FrontConnection, type FrontTools, type Served } from "./front-connection.ts";
import { Upstreams } from "./upstreams.ts";
import type { Wire, WireHandler } from "./wire.ts";

/** How often it is looked what takes too long. */
const SWEEP_MS = 250;
/** Connections of clients; beyond this one that waits for a request makes room. */
const CONNECTIONS_MAX = 8192;

export interface ProxyOptions {
  clock: Clock;
  random: Random;
  connectionsMax?: number;
  onServed?: (served: Served) => void;
}

/** Passes requests of clients on to the tasks that answer for their hosts and paths. */
export class Proxy {
  readonly #options: ProxyOptions;
  readonly #upstreams: Upstreams;
  readonly #fronts = new Set<FrontConnection>();
  readonly #tools: FrontTools;
  /** Requests that have come so far, by the service's id. */
  readonly #requests = new Map<string, number>();
  #table = RouteTable.of({ services: [], tasks: [] });
  #httpsPort: number | undefined;
  #sweep: Timer | undefined;

  constructor(options: ProxyOptions) {
    const { clock, random, onServed } = options;
    this.#options = options;
    const now = () => clock.monotonicNow();
    this.#upstreams = new Upstreams(now);
    this.#tools = {
      upstreams: this.#upstreams,
      random,
      now,
      find: (host, path) => this.#table.find(host, path),
      httpsPort: () => this.#httpsPort,
      onRequest: ({ serviceId }) => {
        this.#requests.set(serviceId, (this.#requests.get(serviceId) ?? 0) + 1);
      },
      onClose: (front) => void this.#fronts.delete(front),
      ...(onServed === undefined ? {} : { onServed }),
    };
  }

  /** Connections of clients that are there. */
  get connections(): number {
    return this.#fronts.size;
  }

  /** Requests for each service that has routes, by its id, since it has. */
  requests(): Record<string, number> {
    return Object.fromEntries(this.#requests);
  }

  /** The routes from now on; what is under way goes on to its end. */
  setRoutes(table: RouteTable): void {
    this.#table = table;
    const endpoints = table.routes.flatMap((route) => route.endpoints);
    this.#upstreams.retain(new Set(endpoints.map(({ key }) => key)));
    const services = new Set(table.routes.map(({ serviceId }) => serviceId));
    for (const id of services) this.#requests.set(id, this.#requests.get(id) ?? 0);
    for (const id of this.#requests.keys()) if (!services.has(id)) this.#requests.delete(id);
  }

  /** Where clients are sent that are to come by HTTPS; undefined: they are served as they come. */
  setHttpsPort(port: number | undefined): void {
    this.#httpsPort = port;
  }

  /** A client has connected. */
  accept(isSecure: boolean, wire: (handler: WireHandler) => Wire): void {
    const { connectionsMax = CONNECTIONS_MAX } = this.#options;
    const front = new FrontConnection(this.#tools, isSecure, wire);
    this.#fronts.add(front);
    if (this.#fronts.size > connectionsMax) this.#makeRoom(front);
    this.#sweep ??= this.#sweepLater();
  }

  /** Ends all connections. */
  close(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#upstreams.close();
    for (const front of this.#fronts) front.destroy();
  }

  /** Closes the one that has waited longest for a request, or the newest where none waits. */
  #makeRoom(newest: FrontConnection): void {
    let found = newest;
    for (const front of this.#fronts) {
      if (!front.isIdle || front === newest) continue;
      if (found === newest || front.deadline < found.deadline) found = front;
    }
    found.destroy();
  }

  #sweepLater(): Timer {
    return this.#options.clock.after(SWEEP_MS, () => {
      const now = this.#tools.now();
      for (const front of this.#fronts) front.check(now);
      this.#upstreams.sweep();
      // Without connections there is nothing to look at.
      const isIdle = this.#fronts.size === 0 && this.#upstreams.size === 0;
      this.#sweep = isIdle ? undefined : this.#sweepLater();
    });
  }
}
