import { OrchdError } from "../../src/lib/errors.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { Random } from "../../src/lib/random.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { Autoscaler } from "../../src/server/autoscaler.ts";
import { Controllers } from "../../src/server/controllers.ts";
import { Dispatcher } from "../../src/server/dispatcher.ts";
import { NodeHealth } from "../../src/server/node-health.ts";
import { Writes } from "../../src/server/writes.ts";
import type { Store } from "../../src/store/store.ts";
import type { Bug } from "./bug.ts";
import { hostLike } from "./chance.ts";
import { SimulatedStore, type StoreOptions } from "./simulated-store.ts";
import type { StoreChecks } from "./store-checks.ts";
import type { ProcessClock, VirtualClock } from "./virtual-clock.ts";

export interface ServerOptions extends Omit<StoreOptions, "clock"> {
  clock: VirtualClock;
  bug: Bug | undefined;
  checks: StoreChecks;
  /** By how much the clock of its machine is wrong now, in ms. */
  skewMs(): number;
  /** Whether the agent of the node answers on its session. */
  probe(nodeId: NodeId, timeoutMs: number): Promise<boolean>;
  /** Breaks the connection of a node that is down. */
  endSession(nodeId: NodeId): void;
}

/** One life of the server: all that it has in memory ends with it. */
export class ServerProcess {
  readonly clock: ProcessClock;
  readonly store: Store;
  readonly health: NodeHealth;
  readonly dispatcher: Dispatcher;
  readonly writes: Writes;
  /** Rejects when the process dies, as every open connection does. */
  readonly end: Promise<never>;
  isDead = false;
  readonly #controllers: Controllers;
  readonly #autoscaler: Autoscaler;
  #endWith: (error: OrchdError) => void = () => {};

  constructor(options: ServerOptions) {
    const { bug } = options;
    this.clock = options.clock.process(() => options.skewMs());
    const simulated = new SimulatedStore({ ...options, clock: this.clock });
    this.store = options.checks.follow(bug?.store?.(simulated) ?? simulated, () => this.isDead);
    const random: Random = hostLike(options.random.split("ids"));
    this.health = new NodeHealth({
      store: bug?.healthStore?.(this.store) ?? this.store,
      clock: bug?.healthClock?.(this.clock) ?? this.clock,
      log: silentLog,
      probe: (nodeId, timeoutMs) => bug?.probe?.() ?? options.probe(nodeId, timeoutMs),
      endSession: (nodeId) => options.endSession(nodeId),
    });
    const dispatcherStore = bug?.dispatcherStore?.(this.store) ?? this.store;
    this.dispatcher = new Dispatcher(dispatcherStore, this.clock, this.health);
    this.#controllers = new Controllers({
      store: bug?.controllersStore?.(this.store) ?? this.store,
      clock: this.clock,
      random,
      log: silentLog,
      sessions: () => this.dispatcher.sessions(),
      isOutOfTouch: (nodeId) => this.health.isOutOfTouch(nodeId),
    });
    this.#autoscaler = new Autoscaler({
      store: bug?.autoscalerStore?.(this.store) ?? this.store,
      clock: bug?.autoscalerClock?.(this.clock) ?? this.clock,
      log: silentLog,
      session: (nodeId) => this.dispatcher.session(nodeId),
    });
    this.writes = new Writes(this.store, this.clock, random);
    this.end = new Promise((_, reject) => (this.#endWith = reject));
    // Most lives end while nobody waits for that.
    this.end.catch(() => undefined);
  }

  start(): void {
    this.#controllers.start();
    this.health.start();
    this.#autoscaler.start();
  }

  /** Ends it without a word: nothing is flushed, no timer runs any more. */
  kill(): void {
    this.isDead = true;
    this.clock.kill();
    this.#endWith(new OrchdError("unreachable", "the server has gone", { retryable: true }));
  }
}
