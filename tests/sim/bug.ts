import type { AgentMemory } from "../../src/agent/agent-options.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { ServerSession } from "../../src/model/session.ts";
import type { Runtime } from "../../src/runtime/driver.ts";
import type { Store } from "../../src/store/store.ts";
import type { Faults } from "./faults.ts";
import type { Invariant } from "./violation.ts";

/** A fault of ours, put into a run on purpose: the checkers must find it. */
export interface Bug {
  name: string;
  /** What its checker has to find; a run in which it breaks something else first says nothing. */
  breaks: Invariant;
  /** One that showed it early when this was written: it is tried first. */
  seed?: string;
  /** Faults that it shows with. */
  faults?: Partial<Faults>;
  /** The store of the whole server. */
  store?(store: Store): Store;
  controllersStore?(store: Store): Store;
  dispatcherStore?(store: Store): Store;
  healthStore?(store: Store): Store;
  autoscalerStore?(store: Store): Store;
  autoscalerClock?(clock: Clock): Clock;
  healthClock?(clock: Clock): Clock;
  probe?(): Promise<boolean>;
  runtime?(runtime: Runtime): Runtime;
  /** What the agent has of its server. */
  agentLink?(link: ServerSession): ServerSession;
  agentState?(state: AgentMemory): AgentMemory;
}
