import { describe, expect, test } from "bun:test";
import { NetworkTable } from "../../../src/agent/network-table.ts";
import type { OwnTask } from "../../../src/core/network/merge-map.ts";
import type { Member } from "../../../src/core/gossip/member.ts";
import {
  formatNotice,
  NOTICE_VERSION_MAX,
  parseNotice,
  type TaskNews,
  type TaskNotice,
} from "../../../src/core/network/task-notice.ts";
import { silentLog } from "../../../src/lib/log.ts";
import type { NetworkChange } from "../../../src/model/network-change.ts";
import type { NetworkMap } from "../../../src/model/network-map.ts";
import { aMapNode, aMapService, aMapTask, aNetworkChange, anId } from "../../builders.ts";
import { aPort } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** What one node has on its disk, and how often it was written. */
interface Disk {
  map: NetworkMap | undefined;
  writes: number;
  isFull?: boolean;
}

/** The table of a node, whose own tasks the test names. */
class Rig {
  readonly clock = new VirtualClock(0);
  readonly table: NetworkTable;
  own: OwnTask[] | undefined;
  told = 0;
  isLed = false;
  readonly disk: Disk;

  constructor(disk: Disk = { map: undefined, writes: 0 }, name = "n1") {
    this.disk = disk;
    this.table = new NetworkTable({
      self: aMapNode(name),
      clock: this.clock,
      log: silentLog,
      memory: {
        networkMap: () => disk.map,
        saveNetworkMap: (map) => {
          if (disk.isFull === true) throw new Error("full");
          disk.map = map;
          disk.writes += 1;
        },
      },
      ownTasks: () => this.own,
      isLed: () => this.isLed,
    });
    this.table.subscribe(() => (this.told += 1));
  }

  take(over: Partial<NetworkChange> = {}): void {
    this.table.take({ since: () => aNetworkChange(over) });
  }

  member(node: string, state: Member["state"] | "forgotten", from?: Member["state"]): void {
    const after = state === "forgotten" ? undefined : ({ state } as Member);
    const before = from === undefined ? undefined : ({ state: from } as Member);
    this.table.noteMember({ node: anId(node), before, after });
  }

  /** The node says this of tasks, by gossip. */
  hear(node: string, version: number, ...tasks: TaskNews[]): void {
    this.table.hear(formatNotice({ nodeId: anId(node), version, tasks }));
  }

  setOwn(...own: OwnTask[]): void {
    this.own = own;
    this.table.refreshOwn();
  }

  /** `t1 ready`, `t2`: the tasks as they are true here. */
  get tasks(): string[] {
    const { tasks } = this.table.current();
    return tasks.map(({ id, isReady }) => id.replace(/x+$/, "") + (isReady ? " ready" : "")).sort();
  }

  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    while (await this.clock.step(until));
  }
}

function anOwnTask(name: string, over: Partial<OwnTask> = {}): OwnTask {
  const { networks: _, ports: __, ...task } = aMapTask(name);
  return { ...task, stack: "shop", service: "web", ports: [], ...over };
}

const onN2 = (name: string) => aMapTask(name, { nodeId: anId("n2"), address: "10.210.2.2" });

describe("what a node knows of the network", () => {
  test("is itself before any server told it of others, with its own tasks", () => {
    const rig = new Rig();
    expect(rig.table.current()).toMatchObject({ nodes: [aMapNode("n1")], services: [], tasks: [] });
    rig.setOwn(anOwnTask("a", { ports: [aPort()] }));
    const { services, tasks } = rig.table.current();
    expect(services).toEqual([aMapService("web", { ports: [aPort()] })]);
    expect(tasks).toEqual([aMapTask("a")]);
  });

  test("is the server's map, but for its own tasks, of which it knows better", () => {
    const rig = new Rig();
    const nodes = [aMapNode("n1"), aMapNode("n2")];
    rig.take({
      nodes,
      tasks: [aMapTask("ended"), aMapTask("slow", { isReady: false }), onN2("b")],
    });
    expect(rig.tasks).toEqual(["b ready", "ended ready", "slow"]);
    rig.setOwn(anOwnTask("slow"), anOwnTask("new", { isReady: false }));
    expect(rig.tasks).toEqual(["b ready", "new", "slow ready"]);
    rig.setOwn();
    expect(rig.tasks).toEqual(["b ready"]);
  });

  test("keeps what a task of an older revision has for itself", () => {
    const rig = new Rig();
    const services = [aMapService("web", { ports: [aPort()] })];
    rig.take({ services, tasks: [aMapTask("a", { networks: ["old"], ports: [] })] });
    rig.setOwn(anOwnTask("a", { isReady: false }));
    expect(rig.table.current().tasks).toEqual([
      aMapTask("a", { networks: ["old"], ports: [], isReady: false }),
    ]);
  });

  test("has no ready task on a member that is dead or has left, until it is back", () => {
    const rig = new Rig();
    rig.take({ nodes: [aMapNode("n1"), aMapNode("n2")], tasks: [onN2("b")] });
    for (const [state, tasks] of [
      ["suspect", ["b ready"]],
      ["dead", ["b"]],
      ["suspect", ["b ready"]],
      ["left", ["b"]],
      ["forgotten", ["b"]],
      ["alive", ["b ready"]],
    ] as const) {
      rig.member("n2", state);
      expect(rig.tasks).toEqual([...tasks]);
    }
    rig.setOwn(anOwnTask("a"));
    rig.member("n1", "dead");
    rig.member("no node", "dead");
    expect(rig.tasks).toEqual(["a ready", "b ready"]);
  });

  test("takes changes of the map, and is told to others once for each turn", async () => {
    const rig = new Rig();
    rig.take({ nodes: [aMapNode("n1"), aMapNode("n2")] });
    rig.setOwn(anOwnTask("a"));
    rig.member("n2", "dead");
    expect(rig.told).toBe(0);
    await settled();
    expect(rig.told).toBe(1);
    rig.setOwn(anOwnTask("a"));
    rig.member("n2", "dead");
    rig.take({ base: 1, nodes: [], services: [], tasks: [] });
    await settled();
    expect(rig.told).toBe(1);
    rig.take({ base: 1, generation: 2, nodes: [], services: [], tasks: [onN2("b")] });
    await settled();
    expect([rig.told, rig.tasks]).toEqual([2, ["a ready", "b"]]);
  });
});

test("others lead packets to a task of the node that is ready, where there are others", () => {
  const rig = new Rig();
  const isLedTo = () => [anId<"task">("a"), anId<"task">("b")].map((id) => rig.table.isLedTo(id));
  rig.setOwn(anOwnTask("a"), anOwnTask("b", { isReady: false }));
  rig.take({ nodes: [aMapNode("n1")] });
  expect(isLedTo()).toEqual([false, false]);
  rig.take({ nodes: [aMapNode("n1"), aMapNode("n2")] });
  expect(isLedTo()).toEqual([true, false]);
  rig.setOwn();
  expect(isLedTo()).toEqual([false, false]);
});

describe("with a server", () => {
  test("a member that gossip takes for dead is back soon, if the server says so", async () => {
    const rig = new Rig();
    rig.isLed = true;
    const two = { nodes: [aMapNode("n1"), aMapNode("n2")], tasks: [onN2("b")] };
    rig.take(two);
    rig.member("n2", "dead");
    await rig.pass(10_000);
    expect(rig.tasks).toEqual(["b"]);
    await rig.pass(10_000);
    expect(rig.tasks).toEqual(["b ready"]);
    rig.isLed = false;
    rig.table.lost();
    expect(rig.tasks).toEqual(["b"]);
    rig.isLed = true;
    rig.take({ ...two, tasks: [{ ...onN2("b"), isReady: false }] });
    await rig.pass(60_000);
    expect(rig.tasks).toEqual(["b"]);
    rig.member("n2", "alive");
    rig.take(two);
    expect(rig.tasks).toEqual(["b ready"]);
  });

  test("what a node said of its tasks counts until the map has had time to tell it", async () => {
    const rig = new Rig();
    rig.isLed = true;
    rig.take({ nodes: [aMapNode("n1"), aMapNode("n2")], tasks: [onN2("b")] });
    rig.hear("n2", 1, { ...onN2("b"), isReady: false });
    expect(rig.tasks).toEqual(["b"]);
    await rig.pass(10_000);
    expect(rig.tasks).toEqual(["b"]);
    await rig.pass(30_000);
    expect(rig.tasks).toEqual(["b ready"]);
  });
});

describe("what other nodes say of their tasks", () => {
  const nodes = [aMapNode("n1"), aMapNode("n2"), aMapNode("n3")];

  test("counts before the map while there is no server, the newest of each task", async () => {
    const rig = new Rig();
    rig.take({ nodes, tasks: [onN2("a"), onN2("b")] });
    rig.hear("n2", 5, { ...onN2("a"), isReady: false }, { id: anId("b") }, onN2("c"));
    expect(rig.tasks).toEqual(["a", "c ready"]);
    rig.hear("n2", 4, onN2("a"));
    rig.hear("n2", 5, onN2("b"));
    await rig.pass(600_000);
    expect(rig.tasks).toEqual(["a", "c ready"]);
    rig.hear("n2", 6, onN2("a"));
    rig.member("n2", "dead");
    expect(rig.tasks).toEqual(["a", "c"]);
    rig.member("n2", "alive");
    expect(rig.tasks).toEqual(["a ready", "c ready"]);
  });

  test("counts for a while yet when a session begins: its node may have none", async () => {
    const rig = new Rig();
    rig.take({ nodes, tasks: [onN2("a")] });
    rig.hear("n2", 5, { id: anId("a") });
    await rig.pass(60_000);
    rig.isLed = true;
    rig.take({ nodes, tasks: [onN2("a")] });
    await rig.pass(14_000);
    expect(rig.tasks).toEqual([]);
    await rig.pass(20_000);
    expect(rig.tasks).toEqual(["a ready"]);
  });

  test("is nothing about tasks and addresses of other nodes, or of nobody", () => {
    const rig = new Rig();
    rig.take({ nodes, tasks: [onN2("a")] });
    rig.setOwn(anOwnTask("own"));
    rig.hear("n3", 1, { id: anId("a") }, { ...onN2("a"), address: "10.210.3.2" });
    rig.hear("n3", 2, { ...onN2("x"), address: "10.210.2.9" });
    rig.hear("n1", 3, { id: anId("own") });
    rig.hear("n9", 4, { ...onN2("y"), address: "10.210.9.2" });
    rig.hear("n2", 5, { ...onN2("z"), serviceId: anId("nobody") });
    rig.hear("n2", 6, { ...onN2("a"), serviceId: anId("nobody") });
    for (const text of ["", "[]", "{", "null", '["n2",1,[[]]]', "[".repeat(5000)]) {
      rig.table.hear(text);
    }
    expect(rig.tasks).toEqual(["a ready", "own ready"]);
  });

  test("is bounded, however much they say", () => {
    const rig = new Rig();
    rig.take({ nodes, tasks: [] });
    for (let i = 0; i < 5000; i++) rig.hear("n2", i + 1, onN2(`t${i}`));
    expect(rig.tasks.length).toBe(4096);
  });

  test("stays known of tasks that are there, however many others have come and gone", () => {
    const rig = new Rig();
    rig.take({ nodes, tasks: [onN2("a")] });
    rig.hear("n2", 1, { id: anId("a") }, onN2("b"));
    for (let i = 0; i < 5000; i++) rig.hear("n2", i + 2, { id: anId(`t${i}`) });
    expect(rig.tasks).toEqual(["b ready"]);
  });
});

describe("what a node tells others of its tasks", () => {
  test("is each change of who is ready, in notices of bounded size", () => {
    const rig = new Rig();
    rig.isLed = true;
    const said: TaskNotice[] = [];
    rig.setOwn(anOwnTask("a"));
    rig.table.announceBy({ notify: (text) => said.push(parseNotice(text) ?? fail()) });
    expect(said).toEqual([]);
    rig.setOwn(anOwnTask("a", { isReady: false }), anOwnTask("b"));
    rig.setOwn(anOwnTask("b", { ports: [aPort()] }));
    const { id, serviceId, slot, address } = anOwnTask("a");
    expect(said.map(({ tasks }) => tasks)).toEqual([
      [
        { id, serviceId, slot, address, isReady: false },
        { id: anId("b"), serviceId, slot, address, isReady: true },
      ],
      [{ id }],
    ]);
    const versions = said.map(({ version }) => version);
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    const texts: string[] = [];
    rig.table.announceBy({ notify: (text) => texts.push(text) });
    const slots = { slot: "abcdefghijkl@1000000" };
    rig.setOwn(...Array.from({ length: 100 }, (_, i) => anOwnTask(`t${i}`, slots)));
    expect(texts.length).toBeGreaterThan(10);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThanOrEqual(1024);
  });

  test("is everything to a member that is back, while there is no server to do so", () => {
    const rig = new Rig();
    const said: (string | undefined)[] = [];
    rig.setOwn(anOwnTask("a"));
    rig.table.announceBy({ notify: (_, only) => said.push(only) });
    expect(said).toEqual([undefined]);
    rig.member("n2", "alive", "dead");
    rig.member("n2", "alive", "suspect");
    rig.member("n3", "dead", "alive");
    rig.isLed = true;
    rig.member("n3", "alive", "dead");
    expect(said).toEqual([undefined, anId("n2")]);
  });
});

describe("a member that speaks in another node's name", () => {
  const nodes = [aMapNode("n1"), aMapNode("n2")];
  const own = () => anOwnTask("own", { address: "10.210.1.2" });
  const lie = { id: anId<"task">("own") };

  /** The node n1 with a task of its own, and n2, which hears what n1 tells after so long. */
  function twoNodes() {
    const [liedOf, other] = [new Rig(), new Rig(undefined, "n2")];
    const said: TaskNotice[] = [];
    for (const rig of [liedOf, other]) rig.take({ nodes, tasks: [aMapTask("own")] });
    liedOf.setOwn(own());
    liedOf.table.announceBy({
      notify: (text) => {
        said.push(parseNotice(text) ?? fail());
        other.table.hear(text);
      },
    });
    said.length = 0;
    const tell = (version: number, ...tasks: TaskNews[]) => {
      for (const rig of [liedOf, other]) rig.hear("n1", version, ...tasks);
    };
    return { liedOf, other, said, tell };
  }

  test("is contradicted: what it said is over in a moment", async () => {
    const { liedOf, other, tell } = twoNodes();
    const version = liedOf.clock.now() + 1_000_000;
    tell(version, lie, { ...own(), id: anId("ghost"), address: "10.210.1.9" });
    expect(other.tasks).toEqual(["ghost ready"]);
    await liedOf.pass(1000);
    expect(other.tasks).toEqual(["own ready"]);
    liedOf.setOwn(anOwnTask("own", { address: "10.210.1.2", isReady: false }));
    expect(other.tasks).toEqual(["own"]);
  });

  test("can't have the last word, whatever version it takes", async () => {
    const { liedOf, other, tell } = twoNodes();
    for (let i = 0; i < 3; i++) {
      tell(NOTICE_VERSION_MAX, lie);
      expect(other.tasks).toEqual([]);
      await liedOf.pass(1000);
      expect(other.tasks).toEqual(["own ready"]);
    }
    tell(NOTICE_VERSION_MAX + 1, lie);
    expect(other.tasks).toEqual(["own ready"]);
  });

  test("is not contradicted before the node knows its own tasks, but outdone by them", async () => {
    const rig = new Rig();
    const said: TaskNotice[] = [];
    rig.table.announceBy({ notify: (text) => said.push(parseNotice(text) ?? fail()) });
    const version = rig.clock.now() + 1_000_000;
    rig.hear("n1", version, lie);
    await rig.pass(1000);
    expect(said).toEqual([]);
    rig.setOwn(own());
    expect(said.map(({ tasks }) => tasks.length)).toEqual([1]);
    expect(said[0]?.version).toBeGreaterThan(version);
  });

  test("gets few answers, however often it lies", async () => {
    const { liedOf, said, tell } = twoNodes();
    for (let i = 0; i < 10_000; i++) tell(1000 + i, { id: anId(`t${i}`) });
    await liedOf.pass(1000);
    expect(said.length).toBe(8);
    tell(0, lie);
    await liedOf.pass(1000);
    expect(said.length).toBe(8);
  });
});

function fail(): never {
  throw new Error("a notice that nobody understands");
}

describe("the map on the disk", () => {
  test("is there after a start without a server", async () => {
    const rig = new Rig();
    rig.take({ nodes: [aMapNode("n1"), aMapNode("n2")], tasks: [onN2("b"), aMapTask("a")] });
    await rig.pass(5000);
    const next = new Rig(rig.disk);
    expect(next.table.current()).toEqual(rig.table.current());
    next.member("n2", "dead");
    next.setOwn(anOwnTask("a", { isReady: false }));
    expect(next.tasks).toEqual(["a", "b"]);
  });

  test("is written every 30 s at most for tasks, and sooner for services and nodes", async () => {
    const rig = new Rig();
    rig.take();
    await rig.pass(1000);
    expect(rig.disk.writes).toBe(0);
    await rig.pass(2000);
    expect(rig.disk.writes).toBe(1);
    let generation = 1;
    const flap = () => {
      const base = generation++;
      const tasks = [aMapTask("a", { isReady: base % 2 === 0 })];
      rig.take({ base, generation, nodes: [], services: [], tasks });
    };
    for (let i = 0; i < 60; i++) {
      flap();
      await rig.pass(1000);
    }
    expect(rig.disk.writes).toBeLessThanOrEqual(3);
    rig.take({ base: generation, generation: ++generation, nodes: [], tasks: [] });
    await rig.pass(2500);
    expect(rig.disk.writes).toBeLessThanOrEqual(4);
    expect(rig.disk.map?.generation).toBe(generation);
    await rig.pass(120_000);
    expect(rig.disk.writes).toBeLessThanOrEqual(4);
  });

  test("is written at the end, and again later where the disk was full", async () => {
    const rig = new Rig({ map: undefined, writes: 0, isFull: true });
    rig.take();
    await rig.pass(10_000);
    rig.disk.isFull = false;
    await rig.pass(30_000);
    expect(rig.disk.writes).toBe(1);
    rig.take({ generation: 2 });
    rig.table.close();
    expect(rig.disk.map?.generation).toBe(2);
  });
});
