import { silentLog } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { Assignment, AssignmentSet } from "../../../src/model/assignment.ts";
import type { Change } from "../../../src/model/change.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import type { NodeFacts } from "../../../src/model/node.ts";
import type { AgentSession } from "../../../src/model/session.ts";
import type { TaskState } from "../../../src/model/task.ts";
import type { VolumeCalls } from "../../../src/model/volume.ts";
import { Controllers } from "../../../src/server/controllers.ts";
import { Dispatcher } from "../../../src/server/dispatcher.ts";
import { NodeHealth } from "../../../src/server/node-health.ts";
import { aNode, aStatus, anId } from "../../builders.ts";
import { NO_VOLUMES } from "../../volumes.ts";
import { Disk, SimulatedStore } from "../../sim/simulated-store.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** The deciding half of a server in virtual time, on a store whose disk can refuse. */
export class Rig {
  readonly clock = new VirtualClock(1000);
  /** By how much the server's clock is wrong now, in ms. */
  skewMs = 0;
  readonly disk = new Disk();
  readonly store: SimulatedStore;
  readonly dispatcher: Dispatcher;
  readonly health: NodeHealth;
  /** What a session answers that is asked whether it is there. */
  probe: (nodeId: NodeId) => Promise<boolean> = async () => false;
  /** Nodes whose session was ended because they are down. */
  readonly endedSessions: NodeId[] = [];
  controllers: Controllers | undefined;
  /** Sets as they arrived at node n1. */
  readonly sets: AssignmentSet[] = [];
  readonly removedVolumes: string[] = [];
  /** What an agent does that is told to remove volumes. */
  removeVolumes = async (names: readonly string[]) => void this.removedVolumes.push(...names);
  diskIsFull = false;
  /** What the agent says that it was told last. */
  generation: number | undefined;
  held: Assignment[] = [];
  volumes: VolumeCalls = NO_VOLUMES;
  /** Images that were to be kept, each time that others were to go. */
  readonly pruned: string[][] = [];
  pruneImages = async (keep: readonly string[]): Promise<string[]> => {
    this.pruned.push([...keep]);
    return [];
  };

  constructor() {
    const random = seededRandom("rig");
    this.store = new SimulatedStore({
      disk: this.disk,
      clock: this.clock,
      random,
      refuses: () => (this.diskIsFull ? 1 : 0),
      onDurable: () => {},
    });
    this.health = new NodeHealth({
      store: this.store,
      clock: this.clock.process(() => this.skewMs),
      log: silentLog,
      probe: (nodeId) => this.probe(nodeId),
      endSession: (nodeId) => {
        this.endedSessions.push(nodeId);
        this.dispatcher.goodbye(nodeId);
      },
    });
    this.dispatcher = new Dispatcher(this.store, this.clock, this.health);
    this.dispatcher.setOwnNode(anId("n1"));
  }

  /** Starts the controllers: before that nobody decides anything. */
  decide(): void {
    this.controllers = new Controllers({
      store: this.store,
      clock: this.clock,
      random: seededRandom("controllers"),
      log: silentLog,
      sessions: () => this.dispatcher.sessions(),
    });
    this.controllers.start();
  }

  /** Writes, and waits until everything that follows from it has come to rest. */
  async commit(...changes: Change[]): Promise<void> {
    const result = await Promise.all([this.store.commit(changes), this.pass(100)]);
    if (!result[0].ok) throw new Error("the test planned on an old object");
  }

  async pass(ms: number): Promise<void> {
    await settled();
    const until = this.clock.now() + ms;
    while (await this.clock.step(until));
  }

  /** An agent on node n1 says hello. */
  async connect(over: Partial<NodeFacts> = {}): Promise<void> {
    const facts = { ...factsOfNode(), ...over };
    await Promise.all([this.dispatcher.hello(this.#session(), facts), this.pass(100)]);
  }

  /** The agent of n1 says that its tasks in these slots reached a state. */
  async report(state: TaskState, ...slots: string[]): Promise<void> {
    const tasks = [...this.store.view().tasks.values()].filter(({ slot }) => slots.includes(slot));
    const now = this.clock.now();
    const ended = state === "failed" ? { finishedAt: now } : {};
    const statuses = tasks.map(({ id }) => aStatus(id, { state, since: now, ...ended }));
    await Promise.all([this.dispatcher.report(anId("n1"), statuses), this.pass(100)]);
  }

  /** `1 running assigned`, by slot. */
  tasks(): string[] {
    const tasks = [...this.disk.view.tasks.values()];
    return tasks.map(({ slot, desired, state }) => `${slot} ${desired} ${state}`).sort();
  }

  #session(): AgentSession {
    const unused = () => {
      throw new Error("no test calls this");
    };
    return {
      nodeId: anId("n1"),
      volumes: this.volumes,
      pruneImages: (keep) => this.pruneImages(keep),
      generation: () => this.generation,
      held: async () => this.held,
      successors: () => [],
      assign: (set) => this.sets.push(set),
      network: unused,
      removeVolumes: (names) => this.removeVolumes(names),
      logs: unused,
      exec: unused,
      images: unused,
      fetchImages: unused,
      forward: unused,
      usage: unused,
      upgrade: unused,
      lackedContents: unused,
      takeContent: unused,
      close: unused,
    };
  }
}

export function factsOfNode() {
  const { hostname, address, platform, resources, runtime, orchdVersion } = aNode();
  return { hostname, address, platform, resources, runtime, orchdVersion };
}
