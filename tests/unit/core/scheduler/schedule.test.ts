import { describe, expect, test } from "bun:test";
import { explainPlacement, schedule } from "../../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { revise } from "../../../../src/model/revise.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aNode,
  aPendingTask,
  aPort,
  aService,
  aSpec,
  aTask,
  aView,
  anId,
  reserving,
  type World,
} from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

/** `task -> node` for each placement, `task: reason` for each task without one. */
function place(world: World, tasks: Task[], seed = "test"): string[] {
  const view = aView({ ...world, tasks: [...(world.tasks ?? []), ...tasks] });
  const { placements, unplaced } = schedule(view, tasks, seededRandom(seed));
  return [
    ...placements.map(({ taskId, nodeId }) => `${shortId(taskId)} -> ${shortId(nodeId)}`),
    ...unplaced.map(({ taskId, message }) => `${shortId(taskId)}: ${message}`),
  ];
}
const pending = (service: ReturnType<typeof aService>, count: number) =>
  Array.from({ length: count }, (_, i) =>
    aPendingTask(service, `p${i + 1}`, { slot: String(i + 1) }),
  );
const nodesOf = (lines: string[]) => lines.map((line) => line.split(" -> ")[1]);

describe("tasks spread", () => {
  const service = aService({ replicas: 6 });

  test("over the nodes with the fewest tasks of the service", () => {
    const nodes = [aNode("n1"), aNode("n2"), aNode("n3")];
    const counts = Map.groupBy(
      nodesOf(place({ nodes, services: [service] }, pending(service, 6))),
      (n) => n,
    );
    expect([...counts.values()].map((list) => list.length)).toEqual([2, 2, 2]);
  });

  test("over zones before nodes when the file prefers that", () => {
    const placement = { constraints: [], spread: ["node.labels.zone"], maxReplicasPerNode: 0 };
    const zoned = aService({ replicas: 4, placement });
    const north = { labels: { zone: "north" } };
    const nodes = [aNode("n1", north), aNode("n2", north), aNode("n3", north), aNode("n4")];
    const chosen = nodesOf(place({ nodes, services: [zoned] }, pending(zoned, 4)));
    expect(chosen.filter((node) => node === "n4")).toHaveLength(2);
  });

  test("to the node with the most room when they have as many of the service", () => {
    const other = aService({ resources: reserving(2000) }, { id: anId("other"), name: "other" });
    const nodes = [aNode("n1"), aNode("n2")];
    const world = { nodes, services: [service, other], tasks: [aTask(other, "o")] };
    expect(place(world, pending(service, 1))).toEqual(["p1 -> n2"]);
  });

  test("to the node with fewer tasks when none of them reserves anything", () => {
    const other = aService({}, { id: anId("other"), name: "other" });
    const nodes = [aNode("n1"), aNode("n2")];
    const world = { nodes, services: [service, other], tasks: [aTask(other, "o")] };
    expect(place(world, pending(service, 1))).toEqual(["p1 -> n2"]);
  });
});

describe("equal nodes", () => {
  const service = aService();
  const nodes = Array.from({ length: 8 }, (_, i) => aNode(`n${i}`));
  const place1 = (seed: string, id = "web") => {
    const one = aService({}, { id: anId(id) });
    return place({ nodes, services: [one] }, pending(one, 1), seed)[0];
  };

  test("are told apart by lot, so that no low id is favoured", () => {
    const chosen = new Set(Array.from({ length: 60 }, (_, i) => place1(`seed ${i}`)));
    expect(chosen.size).toBe(8);
  });

  test("are told apart the same way for the same seed", () => {
    const all = pending(service, 20);
    const once = place({ nodes, services: [service] }, all, "a");
    expect(
      place({ nodes: nodes.toReversed(), services: [service] }, all.toReversed(), "a"),
    ).toEqual(once);
  });

  test("are told apart for each service by its own lot", () => {
    const chosen = new Set(Array.from({ length: 30 }, (_, i) => place1("one seed", `s${i}`)));
    expect(chosen.size).toBeGreaterThan(3);
  });
});

describe("a node is filled", () => {
  test("up to its capacity and not beyond, within one round", () => {
    const service = aService({ resources: reserving(1500) });
    expect(place({ services: [service] }, pending(service, 3))).toEqual([
      "p1 -> n1",
      "p2 -> n1",
      "p3: no node fits: 1 node has 1 cores free, not 1.5",
    ]);
  });

  test("with one task for each host port, within one round", () => {
    const service = aService({ ports: [aPort({ mode: "host" })] });
    const nodes = [aNode("n1"), aNode("n2")];
    const lines = place({ nodes, services: [service] }, pending(service, 3));
    expect(lines.slice(0, 2).map((line) => line.slice(0, 5))).toEqual(["p1 ->", "p2 ->"]);
    expect(lines[2]).toBe(
      "p3: no node fits: each of 2 nodes has port 8080/tcp in use by another task",
    );
  });

  test("by low slots first, also with more than nine", () => {
    const service = aService({ resources: reserving(2000) });
    const tasks = [
      aPendingTask(service, "ten", { slot: "10" }),
      aPendingTask(service, "two", { slot: "2" }),
      aPendingTask(service, "nine", { slot: "9" }),
    ];
    expect(place({ services: [service] }, tasks).slice(0, 2)).toEqual(["two -> n1", "nine -> n1"]);
  });
});

describe("a task without a node is told why", () => {
  const service = aService({ resources: reserving(5000) });

  test("when there is no node at all", () => {
    expect(place({ nodes: [], services: [service] }, pending(service, 1))).toEqual([
      "p1: no node has joined the cluster yet",
    ]);
  });

  test("with the most frequent reason first", () => {
    const nodes = [aNode("n1", { availability: "drain" }), aNode("n2"), aNode("n3")];
    expect(place({ nodes, services: [service] }, pending(service, 1))).toEqual([
      "p1: no node fits: each of 2 nodes has 4 cores free, not 5; 1 node is drained",
    ]);
  });

  test("node by node when somebody asks", () => {
    const nodes = [aNode("n2", { health: "down" }), aNode("n1")];
    const [task] = pending(aService(), 1);
    const view = aView({ nodes, services: [aService()] });
    const verdicts = task === undefined ? [] : explainPlacement(view, task);
    expect(verdicts.map(({ node, reason }) => [node.hostname, reason])).toEqual([
      ["n1", undefined],
      ["n2", "is down"],
    ]);
    expect(explainPlacement(aView({}), task ?? aPendingTask(service, "x"))).toEqual([]);
  });
});

test("a global task goes to the node of its slot and nowhere else", () => {
  const service = aService({ mode: "global" });
  const nodes = [aNode("n1"), aNode("n2")];
  const task = aPendingTask(service, "g", { slot: anId("n2") });
  expect(place({ nodes, services: [service] }, [task])).toEqual(["g -> n2"]);
});

describe("where a task may run", () => {
  const node = (zone: string) => aNode(zone, { labels: { zone } });
  const inZone = (value: string) => ({
    constraints: [{ key: "node.labels.zone", operator: "==" as const, value }],
    spread: [],
    maxReplicasPerNode: 1,
  });

  test("is told by the newest revision, so that a corrected constraint frees what waits", () => {
    const service = aService({ placement: inZone("nrth") });
    const mended = revise(service, aSpec({ placement: inZone("north") }), 5, []);
    const task = aPendingTask(service, "t");
    const view = aView({ nodes: [node("north")], services: [mended], tasks: [task] });
    expect(schedule(view, [task], seededRandom("s")).placements).toHaveLength(1);
  });

  test("leaves out the task that it is to replace", () => {
    const service = aService({ placement: inZone("north") });
    const old = aTask(service, "old", { nodeId: anId("north") });
    const view = aView({ nodes: [node("north")], services: [service], tasks: [old] });
    const successor = aPendingTask(service, "new");
    expect(schedule(view, [successor], seededRandom("s")).placements).toHaveLength(1);
    const further = aPendingTask(service, "more", { slot: "2" });
    expect(schedule(view, [further], seededRandom("s")).placements).toEqual([]);
  });

  test("is a node that can be told of it, or else any that fits", () => {
    const service = aService();
    const task = aPendingTask(service, "t");
    const nodes = [aNode("n1"), aNode("n2")];
    const chosen = (...outOfTouch: string[]) => {
      const tasks = [aTask(service, "a"), aTask(service, "b", { slot: "2" }), task];
      const view = aView({ nodes, services: [service], tasks });
      const isOutOfTouch = (id: string) => outOfTouch.includes(shortId(id));
      return schedule(view, [task], seededRandom("s"), { isOutOfTouch }).placements.map((p) =>
        shortId(p.nodeId),
      );
    };
    expect(chosen()).toEqual(["n2"]);
    expect(chosen("n2")).toEqual(["n1"]);
    expect(chosen("n1", "n2")).toEqual(["n2"]);
  });
});
