import { Agent } from "../../../src/agent/agent.ts";
import type { AgentOptions } from "../../../src/agent/agent-options.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { Assignment, AssignmentSet } from "../../../src/model/assignment.ts";
import type { Happening } from "../../../src/model/event.ts";
import type { TaskId } from "../../../src/model/ids.ts";
import type { SessionEvents } from "../../../src/model/session.ts";
import type { TaskStatus } from "../../../src/model/task.ts";
import type { Runtime } from "../../../src/runtime/driver.ts";
import { aNode, anId } from "../../builders.ts";
import { NO_FAULTS, type Faults } from "../../sim/faults.ts";
import { Machine } from "../../sim/machine.ts";
import { SimulatedAgentState, type AgentDisk } from "../../sim/simulated-agent-state.ts";
import { SimulatedRuntime } from "../../sim/simulated-runtime.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** One agent on one machine in virtual time, with a server that writes down what it hears. */
export class Rig {
  readonly clock = new VirtualClock(0);
  readonly machine: Machine;
  readonly disk: AgentDisk = { set: undefined, statuses: new Map() };
  /** `t running`, in the order in which the server heard of it. */
  readonly heard: string[] = [];
  /** `started t`, in the order in which it happened on the machine. */
  readonly happened: string[] = [];
  readonly latest = new Map<TaskId, TaskStatus>();
  /** What the server was told beside tasks. */
  readonly happenings: Happening[] = [];
  faults: Faults = NO_FAULTS;
  diskIsFull = false;
  serverIsAway = false;
  agent: Agent | undefined;
  /** The agent's connection says that a session began again. */
  /** What the agent is to be told of its sessions. */
  events: SessionEvents | undefined;
  /** How it keeps contents; none where this is absent. */
  secrets: AgentOptions["secrets"];
  /** What of the machine its tasks may mount; everything where this is absent. */
  binds: AgentOptions["binds"];
  /** Where it keeps what survives it; no such place where this is absent. */
  dataDir: AgentOptions["dataDir"];
  /** Whether a server decides. */
  isLed = true;
  #generation = 0;
  #kill = () => {};
  readonly #busyUntil = new Map<string, number>();

  constructor() {
    this.machine = new Machine({
      name: "n1",
      clock: this.clock,
      skewMs: 0,
      random: seededRandom("rig"),
      faults: () => this.faults,
      onChange: (what, taskId) => this.happened.push(`${what} ${shortened(taskId)}`),
      trace: () => {},
      cpuMsOf: () => 0,
    });
  }

  /** Begins a new life of the agent, with what its disk holds. */
  async start(wrap: (runtime: Runtime) => Runtime = (runtime) => runtime): Promise<void> {
    const clock = this.clock.process();
    const runtime = new SimulatedRuntime(this.machine, this.#busyUntil, {
      onRemoval: () => {},
      onStop: () => {},
      onVolumeRemoval: () => {},
    });
    const state = new SimulatedAgentState(this.disk, {
      refuses: () => this.diskIsFull,
      onSet: () => {},
    });
    this.#kill = () => {
      clock.kill();
      runtime.kill("process");
      state.kill();
    };
    const { hostname, address, platform, resources, orchdVersion } = aNode();
    this.agent = new Agent({
      nodeId: anId("n1"),
      clock,
      random: seededRandom(`agent/${this.clock.now()}`),
      log: silentLog,
      runtime: wrap(runtime),
      state,
      server: {
        hello: async (_session, _facts, events) => void (this.events = events),
        leads: () => this.isLed,
        report: async (_, statuses) => this.#hear(statuses),
        happened: (_, happenings) => this.isLed && this.happenings.push(...happenings) > 0,
        goodbye: () => {},
      },
      facts: {
        hostname,
        address,
        platform,
        resources,
        orchdVersion,
        runtime: await runtime.info(),
      },
      network: undefined,
      ...(this.secrets === undefined ? {} : { secrets: this.secrets }),
      ...(this.binds === undefined ? {} : { binds: this.binds }),
      ...(this.dataDir === undefined ? {} : { dataDir: this.dataDir }),
    });
    await this.agent.start();
    await this.pass(1000);
  }

  /** Ends the agent as `kill -9` does. */
  kill(): void {
    this.#kill();
  }

  /** Hands over a set of a newer generation than the last. */
  async assign(...assignments: Assignment[]): Promise<void> {
    await this.assignSet({ generation: ++this.#generation, assignments });
  }

  async assignSet(set: AssignmentSet, forMs = 5000): Promise<void> {
    this.agent?.assign(set);
    await this.pass(forMs);
  }

  async pass(ms: number): Promise<void> {
    await settled();
    const until = this.clock.now() + ms;
    while (await this.clock.step(until));
  }

  container(name: string) {
    return this.machine.containers.get(anId(name));
  }

  #hear(statuses: TaskStatus[]): void {
    if (this.serverIsAway) throw new Error("the server is away");
    for (const status of statuses) {
      this.heard.push(`${shortened(status.taskId)} ${status.state}`);
      this.latest.set(status.taskId, status);
    }
  }
}

/** The runtime, but for some of its methods. */
export function withMethods(runtime: Runtime, own: Partial<Runtime>): Runtime {
  return new Proxy(runtime, {
    get: (target, key) => {
      if (Object.hasOwn(own, key)) return Reflect.get(own, key) as unknown;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function shortened(taskId: TaskId): string {
  return taskId.replace(/x+$/, "");
}
