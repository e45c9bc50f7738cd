import { Agent } from "../../src/agent/agent.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { Random } from "../../src/lib/random.ts";
import type { AssignmentSet } from "../../src/model/assignment.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { NodeFacts } from "../../src/model/node.ts";
import type { Bug } from "./bug.ts";
import { happens } from "./chance.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Machine } from "./machine.ts";
import { SimulatedAgentState, type AgentDisk } from "./simulated-agent-state.ts";
import { SimulatedRuntime, type RuntimeHooks } from "./simulated-runtime.ts";
import type { ProcessClock } from "./virtual-clock.ts";

export interface AgentProcessOptions extends LinkOptions {
  nodeId: NodeId;
  facts: NodeFacts;
  machine: Machine;
  busyUntil: Map<string, number>;
  disk: AgentDisk;
  bug: Bug | undefined;
  random: Random;
  /** The agent takes a set in place of the one that it had. */
  onSet: (set: AssignmentSet, before: AssignmentSet | undefined) => void;
  /** Probability that a write to the agent's disk fails. */
  refuses: () => number;
  hooks: RuntimeHooks;
  /** By how much the machine's clock is wrong. */
  skewMs: number;
}

/** One life of an agent: all that it has in memory ends with it, and no container does. */
export class AgentProcess {
  readonly link: Link;
  readonly #clock: ProcessClock;
  readonly #runtime: SimulatedRuntime;
  readonly #state: SimulatedAgentState;
  readonly #agent: Agent;

  constructor(options: AgentProcessOptions) {
    const { bug, machine, busyUntil, disk, refuses, random } = options;
    this.#clock = options.clock.process(() => options.skewMs);
    this.link = new Link(options);
    this.#runtime = new SimulatedRuntime(machine, busyUntil, options.hooks);
    this.#state = new SimulatedAgentState(disk, {
      refuses: () => happens(random, refuses()),
      onSet: options.onSet,
    });
    this.#agent = new Agent({
      nodeId: options.nodeId,
      clock: this.#clock,
      random,
      log: silentLog,
      runtime: bug?.runtime?.(this.#runtime) ?? this.#runtime,
      state: bug?.agentState?.(this.#state) ?? this.#state,
      server: bug?.agentLink?.(this.link) ?? this.link,
      facts: options.facts,
      network: undefined,
    });
  }

  start(): void {
    void this.#agent.start();
  }

  /** Ends it without a word. */
  kill(how: "process" | "power"): void {
    this.#clock.kill();
    this.link.kill(how);
    this.#runtime.kill(how);
    this.#state.kill();
  }
}
