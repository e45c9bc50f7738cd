import { describe, expect, test } from "bun:test";
import { NetworkTable } from "../../../src/agent/network-table.ts";
import type { OwnTask } from "../../../src/core/network/merge-map.ts";
import type { Member } from "../../../src/core/gossip/member.ts";
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

/** The table of node n1, whose own tasks the test names. */
class Rig {
  readonly clock = new VirtualClock(0);
  readonly table: NetworkTable;
  own: OwnTask[] | undefined;
  told = 0;
  readonly disk: Disk;

  constructor(disk: Disk = { map: undefined, writes: 0 }) {
    this.disk = disk;
    this.table = new NetworkTable({
      self: aMapNode("n1"),
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
    });
    this.table.subscribe(() => (this.told += 1));
  }

  take(over: Partial<NetworkChange> = {}): void {
    this.table.take({ since: () => aNetworkChange(over) });
  }

  member(node: string, state: Member["state"] | "forgotten"): void {
    const after = state === "forgotten" ? undefined : ({ state } as Member);
    this.table.noteMember({ node: anId(node), before: undefined, after });
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
