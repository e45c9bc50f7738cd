import { describe, expect, test } from "bun:test";
import { MapBuilder } from "../../../../src/core/network/map-builder.ts";
import type { Change } from "../../../../src/model/change.ts";
import { put, remove } from "../../../../src/model/change.ts";
import { MovingMap } from "../../../../src/model/network-change.ts";
import type { Node } from "../../../../src/model/node.ts";
import { revise } from "../../../../src/model/revise.ts";
import { type ServiceSpec, specOf } from "../../../../src/model/service.ts";
import { MemoryView } from "../../../../src/model/view.ts";
import { randomBelow, seededRandom } from "../../../../src/lib/random.ts";
import {
  aContainer,
  anIngressRule,
  aMapNode,
  aMapService,
  aMapTask,
  aNode,
} from "../../../builders.ts";
import { anId, aPort, aService, aSpec, aTask, aCluster } from "../../../builders.ts";

const RANGE = "10.210.0.0/16";
const n1 = aNode("n1", { subnet: "10.210.1.0/24", address: "192.0.2.1" });
const n2 = aNode("n2", { subnet: "10.210.2.0/24", address: "192.0.2.2" });
const web = aService();
const onN1 = (name: string, over = {}) => aTask(web, name, { address: "10.210.1.2", ...over });

/** A builder beside the view that it follows. */
class World {
  readonly view = new MemoryView();
  readonly builder = new MapBuilder({ mode: "vxlan", range: RANGE });

  constructor(...changes: Change[]) {
    this.commit(put.node(n1), put.node(n2), put.service(web), ...changes);
  }

  /** Writes these; versions are those of what is there. */
  commit(...changes: Change[]): void {
    const version = this.view.version + 1;
    this.builder.take(this.view.apply(changes, version), version);
  }

  get map() {
    return MovingMap.of({ ...this.builder.since(undefined) }).toMap();
  }
}

describe("the map of the network", () => {
  test("has nodes with a network, all services, and tasks that have an address", () => {
    const world = new World(
      put.node(aNode("n3")),
      put.task(onN1("a")),
      put.task(aTask(web, "pending", { state: "preparing" })),
      put.task(onN1("ended", { state: "failed" })),
    );
    expect(world.map).toEqual({
      generation: 1,
      mode: "vxlan",
      range: RANGE,
      nodes: [aMapNode("n1"), aMapNode("n2")],
      services: [aMapService("web")],
      tasks: [aMapTask("a")],
    });
  });

  test("has a service's rules, and of a task's own those whose port was another one", () => {
    const world = new World(put.task(onN1("a")));
    const rule = anIngressRule({ port: 80 });
    const tasks = () => world.map.tasks.map(({ ingress }) => ingress);
    const change = (over: Partial<ServiceSpec>) => {
      const service = world.view.services.get(web.id) ?? web;
      const spec = { ...specOf(service), ...over };
      world.commit(put.service(revise(service, spec, 1, world.view.tasksOf(web.id))));
    };
    change({ ingress: [rule] });
    expect(world.map.services[0]?.ingress).toEqual([rule]);
    expect(tasks()).toEqual([undefined]);
    // The task goes on, with the port that it has: the new rule counts for it.
    change({ ingress: [{ ...rule, port: 81 }] });
    expect(tasks()).toEqual([undefined]);
    const container = aContainer({ image: "web:2" });
    change({ ingress: [{ ...rule, port: 82 }, anIngressRule({ host: "b" })], container });
    expect(tasks()).toEqual([[{ ...rule, port: 81 }]]);
  });

  test("knows a task from its address on, and sends it traffic while it is ready", () => {
    const world = new World();
    const states: [Partial<ReturnType<typeof onN1>>, (boolean | undefined)[]][] = [
      [{ state: "preparing", address: undefined } as never, []],
      [{ state: "starting" }, [false]],
      [{ state: "running", health: "starting" }, [false]],
      [{ state: "running", health: "healthy" }, [true]],
      [{ state: "running", health: "healthy", desired: "shutdown" }, [false]],
      [{ state: "shutdown", desired: "shutdown" }, []],
    ];
    for (const [over, ready] of states) {
      world.commit(put.task(onN1("a", over)));
      expect(world.map.tasks.map((task) => task.isReady)).toEqual(ready as boolean[]);
    }
  });

  test("holds a node's tasks back while it is down, and drops them with the node", () => {
    const world = new World(put.task(onN1("a")));
    const ready = () => world.map.tasks.map((task) => task.isReady);
    world.commit(put.node({ ...n1, health: "suspect" }));
    expect(ready()).toEqual([true]);
    world.commit(put.node({ ...n1, health: "down" }));
    expect(ready()).toEqual([false]);
    world.commit(put.node({ ...n1, health: "ready" }));
    expect(ready()).toEqual([true]);
    world.commit(remove.node(n1));
    expect([ready(), world.map.nodes]).toEqual([[], [aMapNode("n2")]]);
  });

  test("has no address that an agent took from another node's network, or made up", () => {
    for (const address of ["10.210.2.2", "10.210.1.0x2", "10.210.1. 2", "192.0.2.1", "x"]) {
      expect(new World(put.task(onN1("a", { address }))).map.tasks).toEqual([]);
    }
    const world = new World(put.node({ ...n1, address: "-f /etc/passwd" }));
    expect(world.map.nodes).toEqual([aMapNode("n2")]);
  });

  test("has what a service publishes, its virtual address and its networks", () => {
    const networks = [{ network: "back", aliases: ["db"], internal: false }];
    const spec = { ports: [aPort()], networks, stickyMs: 5000 };
    const service = aService(spec, { virtualIp: "10.210.240.7" });
    const world = new World(put.service(service));
    const expected = { ports: [aPort()], networks, virtualIp: "10.210.240.7", stickyMs: 5000 };
    expect(world.map.services).toEqual([aMapService("web", expected)]);
  });

  test("has no virtual address where names stand for tasks", () => {
    const over = { virtualIp: "10.210.240.7" };
    const world = new World(put.service(aService({ endpointMode: "dnsrr" }, over)));
    expect(world.map.services).toEqual([aMapService("web")]);
    const host = { container: aContainer({ networkMode: "host" }) };
    const other = new World(put.service(aService(host, over)));
    expect(other.map.services).toEqual([aMapService("web", { networks: [] })]);
  });

  test("tells where tasks of an older template differ, and not those of the same one", () => {
    const world = new World(put.task(onN1("old")));
    const attached = { ...specOf(web), networks: [{ network: "b", aliases: [], internal: false }] };
    const alike = revise(web, attached, 0, []);
    world.commit(put.service(alike));
    expect(world.map.tasks).toEqual([aMapTask("old")]);
    const container = aContainer({ image: "localhost/web:2" });
    const replaced = revise(alike, { ...attached, container, ports: [aPort()] }, 0, []);
    world.commit(put.service(replaced));
    world.commit(put.task(onN1("new", { revision: 3, address: "10.210.1.3" })));
    expect(world.map.tasks).toEqual([
      aMapTask("old", { networks: ["shop_default"], ports: [] }),
      aMapTask("new", { address: "10.210.1.3" }),
    ]);
  });

  test("has an external network internal where its own stack says so", () => {
    const shared = { network: "shared", aliases: [], internal: false };
    const user = aService({ networks: [shared] });
    const owner = aService(
      { networks: [{ ...shared, internal: true }] },
      { id: anId("db"), name: "db", stack: "data" },
    );
    const world = new World(put.service(user));
    const isInternal = () => {
      return world.map.services.map(({ networks }) => networks[0]?.internal);
    };
    expect(isInternal()).toEqual([false]);
    world.commit(put.service(owner));
    expect(isInternal()).toEqual([true, true]);
    world.commit(remove.service(owner));
    expect(isInternal()).toEqual([false]);
  });
});

describe("what has changed since", () => {
  test("is nothing, or just that", () => {
    const world = new World(put.task(onN1("a")), put.task(onN1("b", { address: "10.210.1.3" })));
    const base = world.builder.generation;
    const none = { nodes: [], services: [], tasks: [] };
    expect(world.builder.since(base)).toMatchObject({ ...none, base, removed: none });
    world.commit(put.task(onN1("a", { health: "starting" })));
    world.commit(put.task(onN1("a", { health: "unhealthy" })), put.node({ ...n2, labels: {} }));
    world.commit(remove.task(onN1("b")));
    expect(world.builder.since(base)).toMatchObject({
      ...none,
      generation: 4,
      base,
      tasks: [aMapTask("a", { isReady: false })],
      removed: { ...none, tasks: [anId("b")] },
    });
  });

  test("is the same answer for all who ask, until something changes", () => {
    const world = new World();
    const first = world.builder.since(0);
    expect(world.builder.since(0)).toBe(first);
    world.commit(put.node({ ...n1, labels: { zone: "hall" } }));
    expect(world.builder.since(0)).toBe(first);
    world.commit(put.node({ ...n1, address: "192.0.2.9" }));
    expect(world.builder.since(0)).not.toBe(first);
  });

  test("is the whole map for who knows a newer one, or another way between nodes", () => {
    const world = new World();
    expect(world.builder.since(99).base).toBeUndefined();
    const base = world.builder.generation;
    world.commit(put.cluster(aCluster({ networkMode: "wireguard" })));
    const answer = world.builder.since(base);
    expect([answer.base, answer.mode, answer.nodes.length]).toEqual([undefined, "wireguard", 2]);
  });

  test("tells of IPv6 as soon as the cluster is there, to those who know a map too", () => {
    const world = new World();
    expect(world.builder.since(undefined)).not.toHaveProperty("range6");
    const base = world.builder.generation;
    world.commit(put.cluster(aCluster({ range6: "fd00::/96" })));
    const answer = world.builder.since(base);
    expect([answer.base, answer.range6]).toEqual([undefined, "fd00::/96"]);
    expect(MovingMap.of(new World().map).toMap()).not.toHaveProperty("range6");
  });

  test("leads from any map that was there to the newest one, in random worlds", () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = seededRandom(`map ${seed}`);
      const world = new World();
      const kept: MovingMap[] = [];
      for (let step = 0; step < 60; step++) {
        world.commit(randomChange(world.view, random));
        if (randomBelow(random, 5) === 0) kept.push(MovingMap.of(world.map));
      }
      const fresh = new MapBuilder({ mode: "vxlan", range: RANGE });
      const { view } = world;
      fresh.take([...view.nodes.values()].map(asNew("node")), view.version);
      fresh.take([...view.services.values()].map(asNew("service")), view.version);
      fresh.take([...view.tasks.values()].map(asNew("task")), view.version);
      const wanted = asSets(MovingMap.of(fresh.since(undefined)));
      expect(asSets(MovingMap.of(world.map))).toEqual(wanted);
      for (const map of kept) {
        const change = world.builder.since(map.generation);
        expect(change.base).toBe(map.generation);
        map.take(change);
        expect(asSets(map)).toEqual(wanted);
      }
    }
  });
});

const asNew = (kind: "node" | "service" | "task") => (after: unknown) =>
  ({ kind, before: undefined, after }) as never;

/** Whatever the order of its parts, and its generation. */
function asSets({ mode, range, nodes, services, tasks }: MovingMap) {
  const values = [new Set(nodes.values()), new Set(services.values()), new Set(tasks.values())];
  return [mode, range, ...values];
}

function randomChange(view: MemoryView, random: ReturnType<typeof seededRandom>): Change {
  const pick = <T>(...values: T[]): T => values[randomBelow(random, values.length)] as T;
  const versioned = <T extends { id: string; version: number }>(
    held: ReadonlyMap<string, T>,
    value: T,
  ): T => ({ ...value, version: held.get(value.id)?.version ?? 0 });
  const kind = randomBelow(random, 6);
  if (kind === 0) {
    const node: Node = { ...pick(n1, n2), health: pick("ready", "down"), address: "192.0.2.7" };
    return put.node(versioned(view.nodes, node));
  }
  if (kind === 1) {
    const held = view.services.get(web.id) ?? web;
    const networks = pick([], [{ network: "x", aliases: [], internal: pick(true, false) }]);
    const container = aContainer({ image: pick("a", "b") });
    return put.service(revise(held, aSpec({ networks, container }), 0, []));
  }
  const name = pick("a", "b", "c");
  const old = view.tasks.get(anId(name));
  if (kind === 2 && old !== undefined) return remove.task(old);
  const nodeId = pick<Node["id"]>(n1.id, n2.id);
  const address = `10.210.${nodeId === n1.id ? 1 : 2}.${pick(2, 3)}`;
  const state = pick("starting", "running", "failed");
  const over = { nodeId, address, state, revision: pick(1, 2, 3) } as const;
  return put.task(versioned(view.tasks, onN1(name, over)));
}
