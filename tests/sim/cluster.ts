import { messageOf, OrchdError } from "../../src/lib/errors.ts";
import { seededRandom, type Random } from "../../src/lib/random.ts";
import { put, type Applied } from "../../src/model/change.ts";
import { currentRevision } from "../../src/model/service.ts";
import { eventOf } from "../../src/model/event.ts";
import { aNode } from "../builders.ts";
import { AgentProcess } from "./agent-process.ts";
import type { Bug } from "./bug.ts";
import { between, happens, oneOf } from "./chance.ts";
import { Checks } from "./checks.ts";
import { drawFaults, NO_FAULTS, type Faults } from "./faults.ts";
import { GossipModel } from "./gossip-model.ts";
import { Load } from "./load.ts";
import { Machine, type MachineVolume } from "./machine.ts";
import { ServerProcess } from "./server-process.ts";
import type { AgentDisk } from "./simulated-agent-state.ts";
import { Disk } from "./simulated-store.ts";
import type { Trace } from "./trace.ts";
import type { Deed } from "./users.ts";
import { VirtualClock } from "./virtual-clock.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { NodeDevice } from "../../src/model/device.ts";
import type { Node, NodeFacts } from "../../src/model/node.ts";

/** In 2001: a clock that is set back by days shows a time all the same. */
const START_MS = 1_000_000_000_000;

/** One machine of the cluster, with what outlives its agent. */
export interface Place {
  node: Node;
  machine: Machine;
  disk: AgentDisk;
  busyUntil: Map<string, number>;
  agent: AgentProcess | undefined;
  /** By how much its clock is wrong. */
  skewMs: number;
  /** Whether gossip reaches it; `none` says nothing of it at all. */
  udp: "works" | "blocked" | "none";
  /** How many of its agents have died: whoever starts the next one knows which one it follows. */
  deaths: number;
  isOn: boolean;
  isCut: boolean;
  /** Since when nothing has kept the agent from the server. */
  steadySince: number;
}

export interface ClusterOptions {
  seed: string;
  trace: Trace;
  bug?: Bug | undefined;
}

/** A server and its nodes in one process and in virtual time, running what production runs. */
export class Cluster {
  readonly clock = new VirtualClock(START_MS);
  readonly disk = new Disk();
  readonly checks: Checks;
  readonly load: Load;
  readonly places: Place[];
  server: ServerProcess | undefined;
  /** By how much the clock of the server's machine is wrong now, in ms. */
  serverSkewMs = 0;
  faults: Faults;
  readonly #random: Random;
  readonly #options: ClusterOptions;
  readonly #gossip: GossipModel;
  /** How many processes there were: each gets random numbers of its own. */
  #lives = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.faults = { ...drawFaults(this.#random.split("faults")), ...options.bug?.faults };
    const serverNow = () => this.clock.now() + this.serverSkewMs;
    this.checks = new Checks(this.disk, () => this.places, serverNow);
    this.load = new Load({
      clock: this.clock,
      random: this.#random.split("load"),
      machines: () => this.places.map(({ machine }) => machine),
      service: (id) => this.disk.view.services.get(id),
    });
    const count = happens(this.#random, 0.5)
      ? between(this.#random, 1, 3)
      : between(this.#random, 4, 8);
    this.places = Array.from({ length: count }, (_, i) => this.#placeOf(`n${i + 1}`));
    // Nodes that joined before the run, so that users can name them.
    const applied = this.places.map(({ node }): Applied => {
      return { kind: "node", before: undefined, after: node };
    });
    this.disk.write({ version: 1, applied });
    const { clock, places } = this;
    const random = this.#random.split("gossip");
    const server = () => this.#runningServer();
    this.#gossip = new GossipModel({ clock, random, places, server, faults: () => this.faults });
    this.#gossip.start();
    for (const kind of Object.keys(this.faults) as (keyof Faults)[]) {
      if (this.faults[kind] > 0) this.note(`fault ${kind} ${this.faults[kind].toFixed(3)}`);
    }
  }

  note(text: string): void {
    this.#options.trace.add(this.clock.now() - START_MS, text);
  }

  startServer(): void {
    const server = new ServerProcess({
      clock: this.clock,
      skewMs: () => this.serverSkewMs,
      disk: this.disk,
      random: this.#random.split(`server/${this.#lives++}`),
      bug: this.#options.bug,
      checks: this.checks.store,
      refuses: () => this.faults.diskRefuses,
      probe: (nodeId, timeoutMs) => this.#probe(nodeId, timeoutMs),
      endSession: (nodeId) => this.#endSession(nodeId),
      onDurable: (commit) => {
        for (const one of commit.applied) this.#noteApplied(one);
        this.checks.onDurable(commit, this.clock.now());
      },
    });
    this.server = server;
    server.start();
    this.checks.onServerStart(this.clock.now());
    for (const place of this.places) {
      place.steadySince = this.clock.now();
      place.agent?.link.connect();
    }
    this.note("server starts");
  }

  killServer(): void {
    this.server?.kill();
    this.server = undefined;
    this.note("server dies");
    for (const { agent } of this.places) agent?.link.lose();
  }

  /** Sets the clock of the server's machine forth or back. */
  setServerClock(skewMs: number): void {
    this.serverSkewMs = skewMs;
    this.note(`the server's clock is ${skewMs} ms ahead`);
  }

  /** Stops the server without ending it: nobody hears of it, and it hears of nobody. */
  pauseServer(): void {
    this.server?.clock.pause();
    this.checks.onPause(this.clock.now());
    this.note("server is paused");
    for (const { agent } of this.places) agent?.link.cut();
  }

  resumeServer(): void {
    this.server?.clock.resume();
    this.checks.onResume(this.clock.now());
    this.note("server runs again");
    if (this.server !== undefined) this.#gossip.wakeUp(this.server);
    const random = this.#random.split(`resume/${this.#lives++}`);
    for (const { agent } of this.places) {
      this.clock.after(between(random, 0, 5000), () => {
        if (agent?.link.isConnected === false) agent.link.connect();
      });
    }
  }

  #runningServer(): ServerProcess | undefined {
    return this.server?.clock.isPaused === true ? undefined : this.server;
  }

  /** Starts the agent of a machine that is on. */
  startAgent(place: Place): void {
    if (!place.isOn) return;
    place.steadySince = this.clock.now();
    place.agent = new AgentProcess({
      clock: this.clock,
      random: this.#random.split(`agent/${this.#lives++}`),
      server: () => this.#runningServer(),
      onDelivered: (nodeId, set) => this.checks.onDelivered(nodeId, set),
      nodeId: place.node.id,
      facts: factsOf(place.node),
      machine: place.machine,
      busyUntil: place.busyUntil,
      disk: place.disk,
      bug: this.#options.bug,
      refuses: () => this.faults.agentDiskRefuses,
      isCut: () => place.isCut,
      oldSetComes: () => this.faults.oldSetComes,
      onSet: (set, before) => this.checks.onSet(place, set, before),
      skewMs: place.skewMs,
      hooks: {
        onRemoval: (taskId) => this.checks.onRemoval(taskId),
        onStop: (taskId, found) => this.checks.onStop(place, taskId, found),
        onVolumeRemoval: (name, volume) => this.#onVolumeRemoval(place, name, volume),
      },
    });
    place.agent.start();
    this.note(`agent ${place.node.hostname} starts`);
  }

  killAgent(place: Place, how: "process" | "power" = "process"): void {
    place.agent?.kill(how);
    place.deaths += 1;
    place.agent = undefined;
    this.note(`agent ${place.node.hostname} dies`);
  }

  cutLink(place: Place): void {
    place.isCut = true;
    place.agent?.link.cut();
    this.note(`link of ${place.node.hostname} is cut`);
  }

  restoreLink(place: Place): void {
    place.isCut = false;
    place.steadySince = this.clock.now();
    place.agent?.link.connect();
    this.note(`link of ${place.node.hostname} is back`);
  }

  cutPower(place: Place, forgets: boolean): void {
    place.isOn = false;
    this.killAgent(place, "power");
    place.machine.losePower(forgets);
  }

  /** The machine runs again, and with it its agent. */
  restorePower(place: Place): void {
    place.isOn = true;
    place.machine.boot();
    this.startAgent(place);
  }

  /** Does what a user asked for; what the server acknowledges must be on its disk. */
  async serve(deed: Deed): Promise<void> {
    const server = this.#runningServer();
    if (server === undefined) return;
    this.note(`user: ${deed.text}`);
    try {
      await Promise.race([deed.run(server), server.end]);
    } catch (error) {
      // Refused, or never answered: the user knows that it may not have happened.
      if (!(error instanceof OrchdError)) throw error;
      this.note(`refused: ${messageOf(error)}`);
      return;
    }
    this.note("done");
    if (deed.isOnDisk(this.disk)) return;
    this.checks.broken("S7", `"${deed.text}" was acknowledged and is not on the disk`);
  }

  stopFaults(): void {
    this.faults = NO_FAULTS;
    this.load.settle();
    this.note("faults stop");
  }

  #onVolumeRemoval({ node }: Place, name: string, volume: MachineVolume): void {
    this.note(`volume ${name} of ${node.hostname} is removed`);
    this.checks.volumes.onRemoval(node.hostname, name, volume);
  }

  #probe(nodeId: NodeId, timeoutMs: number): Promise<boolean> {
    const place = this.places.find(({ node }) => node.id === nodeId);
    const answers = place?.agent !== undefined && !place.isCut;
    const takesMs = answers ? between(this.#random.split("probe"), 1, 40) : timeoutMs;
    return new Promise((resolve) => this.clock.after(takesMs, () => resolve(answers)));
  }

  /** The agent hears of it when packets come through, and says hello again. */
  #endSession(nodeId: NodeId): void {
    const agent = this.places.find(({ node }) => node.id === nodeId)?.agent;
    agent?.link.lose();
    this.server?.dispatcher.goodbye(nodeId);
    const random = this.#random.split(`ended/${this.#lives++}`);
    this.clock.after(between(random, 0, 1000), () => {
      if (agent?.link.isConnected === false) agent.link.connect();
    });
  }

  #placeOf(name: string): Place {
    const own = this.#random.split(`place/${name}`);
    const { clockIsWrong, udpIsBlocked } = this.faults;
    const skewMs = happens(own, clockIsWrong) ? oneOf(own, [600_000, -600_000, -START_MS]) : 0;
    const udp = happens(own, udpIsBlocked) ? oneOf(own, ["blocked", "none"] as const) : "works";
    const labels = { zone: name === "n1" ? "north" : "south" };
    const devices = ["a", "b"].map((port) => aSerialPort(`${name}-${port}`));
    const platform = { os: "linux", arch: name === "n3" ? "arm64" : "amd64" };
    const has = { labels, platform, generic: { lora: 2 }, devices };
    const node = put.node(aNode(name, { ...has, version: 0 }));
    if (node.kind !== "node" || node.op !== "put") throw new Error("a node is a node");
    const machine = new Machine({
      name,
      clock: this.clock,
      skewMs,
      random: this.#random.split(`machine/${name}`),
      faults: () => this.faults,
      onChange: (what, taskId) => this.checks.onContainer(what, taskId),
      trace: (text) => this.note(text),
      cpuMsOf: (container) => this.load.cpuMsOf(container),
    });
    const disk: AgentDisk = { set: undefined, statuses: new Map() };
    const state = { deaths: 0, isOn: true, isCut: false, steadySince: START_MS, agent: undefined };
    return { node: node.value, machine, disk, busyUntil: new Map(), skewMs, udp, ...state };
  }

  #noteApplied(applied: Applied): void {
    const { kind, before, after } = applied;
    if (kind === "node") {
      this.note(`node ${after?.hostname} is ${after?.health} and ${after?.availability}`);
      return;
    }
    if (kind === "service" && after !== undefined) {
      const { state, failed, message } = after.rollout ?? {
        state: "none",
        failed: [],
        message: "",
      };
      const at = `revision ${currentRevision(after).revision}`;
      const told = `${at}, rollout ${state}, failed ${failed.length}, ${message}`;
      this.note(`service ${after.stack}/${after.name} written: ${told}`);
      if (after.scaledTo !== undefined && after.scaledTo !== before?.scaledTo) {
        this.note(`service ${after.stack}/${after.name} is scaled to ${after.scaledTo}`);
      }
      const news = eventOf(applied, 0, 0);
      if (news?.action === "run") this.note(`service ${news.name} run ${news.message}`);
      return;
    }
    if (kind !== "task") {
      this.note(`${kind} ${after === undefined ? "deleted" : "written"}`);
      return;
    }
    const task = after ?? before;
    if (task === undefined) return;
    const name = `${task.stack}/${task.service}.${task.slot} ${task.id}`;
    const what = after === undefined ? "deleted" : `${task.desired} ${task.state} ${task.message}`;
    this.note(`task ${name} on ${task.nodeId ?? "no node"}: ${what}`);
  }
}

function aSerialPort(id: string): NodeDevice {
  return { id, kind: "serial", capabilities: [], path: `/dev/${id}`, exclusive: true };
}

function factsOf(node: Node): NodeFacts {
  const { hostname, address, platform, resources, runtime, orchdVersion } = node;
  const { generic = {}, devices = [] } = node;
  return { hostname, address, platform, resources, runtime, orchdVersion, generic, devices };
}
