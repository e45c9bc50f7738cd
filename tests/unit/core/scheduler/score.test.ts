import { describe, expect, test } from "bun:test";
import { schedule, type ScheduleOptions } from "../../../../src/core/scheduler/schedule.ts";
import { sortedBy } from "../../../../src/lib/order.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Service } from "../../../../src/model/service.ts";
import {
  aNode,
  aPendingTask,
  aService,
  aTask,
  aView,
  anId,
  reserving,
  type World,
} from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

/** How many of `count` new tasks of the service each node gets, by name. */
function spread(world: World, service: Service, count: number, options?: ScheduleOptions) {
  const tasks = Array.from({ length: count }, (_, i) =>
    aPendingTask(service, `p${i + 1}`, { slot: String(i + 1) }),
  );
  const all = { ...world, tasks: [...(world.tasks ?? []), ...tasks] };
  const { placements } = schedule(aView(all), tasks, seededRandom("test"), options);
  const counts = new Map<string, number>();
  for (const { nodeId } of placements) {
    counts.set(shortId(nodeId), (counts.get(shortId(nodeId)) ?? 0) + 1);
  }
  return Object.fromEntries(sortedBy(counts, ([name]) => name));
}
const placement = { constraints: [], spread: [], maxReplicasPerNode: 0 };
const nodes = ["n1", "n2", "n3"].map((name) => aNode(name));

describe("a service that is packed", () => {
  const packed = { placement: { ...placement, strategy: "binpack" as const } };

  test("fills one node before it begins another", () => {
    const service = aService({ ...packed, resources: reserving(1000) });
    const counts = Object.values(spread({ nodes, services: [service] }, service, 6));
    expect(counts.toSorted((a, b) => a - b)).toEqual([2, 4]);
  });

  test("goes where the least room is left that is enough", () => {
    const service = aService({ ...packed, resources: reserving(1000) });
    const other = aService({ resources: reserving(2000) }, { id: anId("other"), name: "other" });
    const full = aService({ resources: reserving(3500) }, { id: anId("full"), name: "full" });
    const tasks = [
      aTask(other, "o", { nodeId: anId("n2") }),
      aTask(full, "f", { nodeId: anId("n3") }),
    ];
    const world = { nodes, services: [service, other, full], tasks };
    expect(spread(world, service, 2)).toEqual({ n2: 2 });
  });

  test("is one whose file says nothing, where the cluster packs", () => {
    const [plain, apart] = [
      aService(),
      aService({ placement: { ...placement, strategy: "spread" } }, { id: anId("apart") }),
    ];
    const counts = (service: typeof plain) => {
      const world = { nodes, services: [service] };
      return Object.values(spread(world, service, 3, { strategy: "binpack" }));
    };
    expect([counts(plain), counts(apart)]).toEqual([[3], [1, 1, 1]]);
  });

  test("stays together also where nothing is reserved", () => {
    const service = aService(packed);
    expect(Object.values(spread({ nodes, services: [service] }, service, 5))).toEqual([5]);
  });
});

describe("a node that has the image", () => {
  const service = aService();
  const hasImage = (id: string, image: string) =>
    shortId(id) === "n2" && image === "localhost/web:1";

  test("goes before one that is like it but has not", () => {
    const taken: Record<string, number>[] = [];
    for (const id of ["a", "b", "c", "d", "e"]) {
      const one = aService({}, { id: anId(id) });
      taken.push(spread({ nodes, services: [one] }, one, 1, { hasImage }));
    }
    expect(taken).toEqual(taken.map(() => ({ n2: 1 })));
  });

  test("does not go before one with fewer tasks of the service", () => {
    expect(spread({ nodes, services: [service] }, service, 3, { hasImage })).toEqual({
      n1: 1,
      n2: 1,
      n3: 1,
    });
  });

  test("does not go before one that has clearly more room", () => {
    const big = aService({ resources: reserving(1000) }, { id: anId("big"), name: "big" });
    const tasks = [aTask(big, "b", { nodeId: anId("n2") })];
    const world = { nodes, services: [service, big], tasks };
    expect(spread(world, service, 1, { hasImage })).not.toHaveProperty("n2");
  });

  test("does not take everything because of that", () => {
    const small = aService({}, { id: anId("small"), name: "small" });
    const tasks = Array.from({ length: 10 }, (_, i) =>
      aTask(small, `s${i}`, { slot: `${i}`, nodeId: anId("n2") }),
    );
    const world = { nodes, services: [service, small], tasks };
    expect(spread(world, service, 1, { hasImage })).not.toHaveProperty("n2");
  });
});

describe("a node on which a revision keeps failing", () => {
  const service = aService();
  const failed = (name: string, over = {}) =>
    aTask(service, name, { slot: name, state: "failed", nodeId: anId("n1"), ...over });
  const world = (...tasks: ReturnType<typeof failed>[]): World => ({
    nodes: [aNode("n1"), aNode("n2")],
    services: [service],
    tasks: [aTask(service, "r", { slot: "r", nodeId: anId("n2") }), ...tasks],
  });

  test("goes after all others that fit", () => {
    expect(spread(world(failed("f1"), failed("f2")), service, 1)).toEqual({ n2: 1 });
  });

  test("is taken all the same where no other fits", () => {
    const limited = aService({ placement: { ...placement, maxReplicasPerNode: 1 } });
    const there = { ...world(failed("f1"), failed("f2")), services: [limited] };
    expect(spread(there, limited, 1)).toEqual({ n1: 1 });
  });

  test("is none where it failed once, another revision did, or the node was lost", () => {
    expect(spread(world(failed("f1")), service, 1)).toEqual({ n1: 1 });
    const other = world(failed("f1", { revision: 7 }), failed("f2", { revision: 7 }));
    expect(spread(other, service, 1)).toEqual({ n1: 1 });
    const lost = world(failed("f1", { state: "lost" }), failed("f2", { state: "lost" }));
    expect(spread(lost, service, 1)).toEqual({ n1: 1 });
  });
});

describe("nested preferences", () => {
  const inPlaces = ["a1", "a1", "a2", "b1", "b2", "b3"].map((place, i) =>
    aNode(`n${i + 1}`, { labels: { zone: place.slice(0, 1), rack: place } }),
  );
  const keys = ["node.labels.zone", "node.labels.rack"];
  const service = aService({ placement: { ...placement, spread: keys } });

  test("fill zones alike, and the racks of each zone alike", () => {
    const counts = spread({ nodes: inPlaces, services: [service] }, service, 12);
    const zones = [0, 3].map((from) =>
      [1, 2, 3].reduce((sum, i) => sum + (counts[`n${from + i}`] ?? 0), 0),
    );
    expect([
      zones,
      counts["n3"],
      [counts["n1"], counts["n2"]].map(Number).toSorted((a, b) => a - b),
    ]).toEqual([[6, 6], 3, [1, 2]]);
    expect(counts).toMatchObject({ n4: 2, n5: 2, n6: 2 });
  });

  test("go on where there is room when a group is full", () => {
    const limited = aService({
      placement: { ...placement, spread: keys, maxReplicasPerNode: 2 },
    });
    expect(spread({ nodes: inPlaces, services: [limited] }, limited, 20)).toEqual(
      Object.fromEntries(inPlaces.map((node) => [node.hostname, 2])),
    );
  });

  test("count what is on nodes that can't take more", () => {
    const [first, ...others] = inPlaces;
    const drained = first === undefined ? [] : [{ ...first, availability: "drain" as const }];
    const tasks = [1, 2, 3].map((i) => aTask(service, `t${i}`, { slot: `${i}` }));
    const world = { nodes: [...drained, ...others], services: [service], tasks };
    const counts = spread(world, service, 3);
    expect(Object.keys(counts)).toEqual(["n4", "n5", "n6"]);
  });
});
