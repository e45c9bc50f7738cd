import type { Clock, Timer } from "../lib/clock.ts";
import { MapBuilder } from "../core/network/map-builder.ts";
import type { Applied } from "../model/change.ts";
import { CLUSTER_RANGE_DEFAULT } from "../model/cluster.ts";
import type { NodeId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import type { Commit, Store } from "../store/store.ts";

/** After so long the other nodes wait for the next turn, so that requests are answered. */
const TURN_MS = 20;
/** A round that took this long is a dear one, as among thousands of nodes. */
const DEAR_MS = 5;
/** After a dear round the next one waits so many times as long, and what comes is gathered. */
const REST_FACTOR = 4;

export interface NetworkFeedOptions {
  store: Store;
  clock: Clock;
  sessions(): Iterable<AgentSession>;
}

/**
 * Keeps the map of the cluster's network, and every node that has a network up to date with it: one
 * map for all. What was committed in one turn, or while a dear round rests, is told together.
 */
export class NetworkFeed {
  readonly #options: NetworkFeedOptions;
  readonly #map: MapBuilder;
  readonly #unwatch: () => void;
  readonly #untold = new Set<AgentSession>();
  #isScheduled = false;
  #tookMs = 0;
  #restUntil = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: NetworkFeedOptions) {
    this.#options = options;
    const { store } = options;
    const view = store.view();
    const { networkMode: mode = "vxlan", range = CLUSTER_RANGE_DEFAULT } = view.cluster ?? {};
    const { range6 } = view.cluster ?? {};
    this.#map = new MapBuilder({ mode, range, ...(range6 === undefined ? {} : { range6 }) });
    const known = (kind: Applied["kind"], values: Iterable<unknown>) =>
      [...values].map((after) => ({ kind, before: undefined, after }) as Applied);
    const nodes = known("node", view.nodes.values());
    const services = known("service", view.services.values());
    const tasks = known("task", view.tasks.values());
    this.#map.take([...nodes, ...services, ...tasks], view.version);
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
  }

  /** A session has begun: its node gets the map. */
  greet(session: AgentSession): void {
    if (this.#hasNetwork(session.nodeId)) session.network(this.#map);
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatch();
    this.#timer?.cancel();
  }

  #onCommit({ applied, version }: Commit): void {
    const before = this.#map.generation;
    this.#map.take(applied, version);
    if (this.#map.generation === before || this.#isScheduled) return;
    this.#isScheduled = true;
    const { clock } = this.#options;
    const restMs = Math.min(this.#restUntil - clock.now(), this.#tookMs * REST_FACTOR);
    if (restMs > 0) this.#timer = clock.after(restMs, () => this.#beginRound());
    else queueMicrotask(() => this.#beginRound());
  }

  #beginRound(): void {
    this.#isScheduled = false;
    this.#tookMs = 0;
    for (const session of this.#options.sessions()) this.#untold.add(session);
    this.#tell();
  }

  /** The newest map goes to those who wait for an older one, too: nobody is told twice. */
  #tell(): void {
    if (this.#isClosed) return;
    const { clock } = this.#options;
    const start = clock.now();
    for (const session of this.#untold) {
      if (clock.now() - start >= TURN_MS) {
        this.#tookMs += clock.now() - start;
        this.#timer = clock.after(0, () => this.#tell());
        return;
      }
      this.#untold.delete(session);
      this.greet(session);
    }
    this.#tookMs += clock.now() - start;
    if (this.#tookMs >= DEAR_MS) this.#restUntil = clock.now() + this.#tookMs * REST_FACTOR;
  }

  #hasNetwork(nodeId: NodeId): boolean {
    return this.#options.store.view().nodes.get(nodeId)?.subnet !== undefined;
  }
}
