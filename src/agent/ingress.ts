import {
  formatIngress,
  PUBLISHED_CHAIN,
  type IngressNetwork,
  type PublishedEndpoint,
} from "../core/network/ingress.ts";
import { applyNftables, readCounters } from "../net/nftables.ts";
import { routeLoopback } from "../net/sysctl.ts";

/** Keeps the node's table of published ports equal to the tasks that serve. */
export class Ingress {
  readonly #network: IngressNetwork;
  readonly #endpoints: () => Iterable<PublishedEndpoint>;
  #applied: string | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** @param endpoints what serves now; read anew at each refresh */
  constructor(network: IngressNetwork, endpoints: () => Iterable<PublishedEndpoint>) {
    this.#network = network;
    this.#endpoints = endpoints;
  }

  /** Resolves when the kernel's table holds what served at the time of the call, or later. */
  refresh(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#apply().finally(() => (this.#running = undefined));
      return this.#running;
    }
    // A change that comes while one is being applied goes with the next, together with all others.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.refresh();
      });
    return this.#next;
  }

  /** Forgets what the kernel's table held, since somebody else may have emptied it. */
  doubt(): void {
    this.#applied = undefined;
  }

  /** New connections since the rules were last made, by port: `8080/tcp`. */
  connections(): Promise<Record<string, number>> {
    return this.#applied === undefined ? Promise.resolve({}) : readCounters(PUBLISHED_CHAIN);
  }

  async #apply(): Promise<void> {
    const endpoints = [...this.#endpoints()];
    const script = formatIngress(endpoints, this.#network);
    if (script === this.#applied) return;
    if (endpoints.length > 0) await routeLoopback(this.#network.interfaceName);
    this.#applied = undefined;
    await applyNftables(script);
    this.#applied = script;
  }
}
