import { describe, expect, test } from "bun:test";
import { explainPlacement, schedule } from "../../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Affinity, Service, ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aNode, aPendingTask, aService, aTask, aView, anId, reserving } from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

const placement = (over: Partial<ServiceSpec["placement"]>) => ({
  placement: { constraints: [], spread: [], maxReplicasPerNode: 0, ...over },
});
const named = (name: string, spec: Partial<ServiceSpec> = {}) =>
  aService(spec, { id: anId(name), name });
const rule = (over: Partial<Affinity>) => {
  const affinity = {
    service: "shop/db",
    relation: "near",
    key: "node.id",
    required: true,
  } as const;
  return placement({ affinity: [{ ...affinity, ...over }] });
};
const zoned = (name: string, zone: string) => aNode(name, { labels: { zone } });
const nodes = [zoned("n1", "north"), zoned("n2", "north"), zoned("n3", "south")];

/** `web -> n1` or `web: reason` for each of the tasks, with those of `there` where they are. */
function place(services: Service[], tasks: Task[], there: Task[] = []): string[] {
  const view = aView({ nodes, services, tasks: [...there, ...tasks] });
  const { placements, unplaced } = schedule(view, tasks, seededRandom("s"));
  return [
    ...placements.map(({ taskId, nodeId }) => `${shortId(taskId)} -> ${shortId(nodeId)}`),
    ...unplaced.map(({ taskId, message }) => `${shortId(taskId)}: ${message}`),
  ];
}

test("a task that must be apart from its own service may join another one of its slot", () => {
  const web = named("web", rule({ service: "shop/web", relation: "apart" }));
  const tasks = [aPendingTask(web, "a"), aPendingTask(web, "b")];
  const view = aView({ nodes: nodes.slice(0, 1), services: [web], tasks });
  expect(schedule(view, tasks, seededRandom("s")).unplaced).toEqual([]);
});

describe("a task that must be near to another service", () => {
  const db = named("db");
  const onNode3 = aTask(db, "d", { nodeId: anId("n3") });

  test("goes to the node of one of its tasks", () => {
    const web = named("web", rule({}));
    expect(place([db, web], [aPendingTask(web, "w")], [onNode3])).toEqual(["w -> n3"]);
  });

  test("goes to the same zone when that is what counts", () => {
    const web = named("web", rule({ key: "node.labels.zone" }));
    const there = [aTask(db, "d", { nodeId: anId("n2") })];
    const packed = aTask(named("x"), "x", { nodeId: anId("n2") });
    expect(place([db, web, named("x")], [aPendingTask(web, "w")], [...there, packed])).toEqual([
      "w -> n1",
    ]);
  });

  test("follows one that is placed in the same round, whatever their ids", () => {
    const web = named("aweb", rule({}));
    const lines = place([db, web], [aPendingTask(web, "w"), aPendingTask(db, "d")]);
    expect(lines.map((line) => line.split(" -> ")[1])).toEqual([
      lines[0]?.split(" -> ")[1],
      lines[0]?.split(" -> ")[1],
    ]);
    expect(lines[0]).toStartWith("d -> ");
  });

  test("waits while there is none, and none that is ending will do", () => {
    const web = named("web", rule({}));
    const ending = aTask(db, "d", { desired: "shutdown" });
    const message =
      "w: no node fits: each of 3 nodes is not near to a task of shop/db, " +
      "which has none on any node";
    expect(place([db, web], [aPendingTask(web, "w")])).toEqual([message]);
    expect(place([db, web], [aPendingTask(web, "w")], [ending])).toEqual([message]);
    expect(place([web], [aPendingTask(web, "w")])).toEqual([message]);
  });

  test("of its own service lets the first go anywhere", () => {
    const web = named("web", rule({ service: "shop/web", key: "node.labels.zone" }));
    const tasks = ["1", "2", "3"].map((slot) => aPendingTask(web, `w${slot}`, { slot }));
    const zones = place([web], tasks).map((line) => (line.endsWith("n3") ? "south" : "north"));
    expect(new Set(zones).size).toBe(1);
  });

  test("of its own service is asked for again when one that came after it has found a node", () => {
    const resources = reserving(1000);
    const web = named("web", { ...rule({ service: "shop/web" }), resources });
    const full = ["2", "3", "4", "5"].map((slot) => aTask(web, `f${slot}`, { slot }));
    const there = [aTask(web, "w1", { nodeId: anId("n2") }), ...full];
    const tasks = [aPendingTask(web, "a"), aPendingTask(web, "b", { slot: "2" })];
    expect(place([web], tasks, there)).toEqual(["b -> n2", "a -> n2"]);
  });
});

describe("a task that must be apart from another service", () => {
  const apart = { relation: "apart" } as const;

  test("goes to where it has none, also from the other's side", () => {
    const db = named("db");
    const web = named("web", rule({ ...apart, key: "node.labels.zone" }));
    const there = [aTask(db, "d", { nodeId: anId("n1") })];
    expect(place([db, web], [aPendingTask(web, "w")], there)).toEqual(["w -> n3"]);
    const webs = [aTask(web, "w1", { nodeId: anId("n3") }), aTask(web, "w2", { slot: "2" })];
    expect(place([db, web], [aPendingTask(db, "d")], webs)).toEqual([
      "d: no node fits: each of 3 nodes is where shop/web has a task by node.labels.zone, " +
        "which is to be apart from it",
    ]);
  });

  test("waits until one that is ending has ended", () => {
    const db = named("db");
    const web = named("web", rule(apart));
    const there = ["n1", "n2", "n3"].map((n, i) =>
      aTask(db, `d${i}`, { slot: String(i), nodeId: anId(n), desired: "shutdown" }),
    );
    expect(place([db, web], [aPendingTask(web, "w")], there)).toEqual([
      "w: no node fits: each of 3 nodes holds a task of shop/db, from which it is to be apart",
    ]);
  });

  test("of its own service has its own place, or that of the task that it replaces", () => {
    const web = named("web", rule({ ...apart, service: "shop/web" }));
    const tasks = ["1", "2", "3", "4"].map((slot) => aPendingTask(web, `w${slot}`, { slot }));
    const lines = place([web], tasks);
    expect(new Set(lines.slice(0, 3).map((line) => line.split(" -> ")[1])).size).toBe(3);
    expect(lines[3]).toContain("holds a task of shop/web");
    const old = ["1", "2", "3"].map((slot) =>
      aTask(web, `o${slot}`, { slot, nodeId: anId(`n${slot}`) }),
    );
    expect(place([web], [aPendingTask(web, "w", { slot: "2" })], old)).toEqual(["w -> n2"]);
  });
});

test("a wish about another service comes before an even spread, and holds nobody back", () => {
  const db = named("db");
  const web = named("web", rule({ required: false }));
  const there = [aTask(db, "d"), aTask(web, "w1", { slot: "8" }), aTask(web, "w2", { slot: "9" })];
  expect(place([db, web], [aPendingTask(web, "w")], there)).toEqual(["w -> n1"]);
  expect(place([web], [aPendingTask(web, "w")])[0]).toStartWith("w -> ");
});

test("a service that is packed fills the fullest node that fits", () => {
  const other = named("other");
  const web = named("web", placement({ strategy: "binpack" }));
  const there = [aTask(other, "o", { nodeId: anId("n2") })];
  const tasks = ["1", "2", "3"].map((slot) => aPendingTask(web, `w${slot}`, { slot }));
  expect(place([other, web], tasks, there)).toEqual(["w1 -> n2", "w2 -> n2", "w3 -> n2"]);
});

test("higher priorities choose first", () => {
  const [low, high] = [named("a", {}), named("b", { priority: 5 })];
  const tasks = [aPendingTask(low, "low"), aPendingTask(high, "high")];
  expect(place([low, high], tasks).map((line) => line.split(" ")[0])).toEqual(["high", "low"]);
});

test("the table for people tells what speaks for the nodes that fit", () => {
  const db = named("db", { resources: reserving(2000) });
  const web = named("web", rule({ required: false }));
  const task = aPendingTask(web, "w");
  const there = [aTask(db, "d"), aTask(web, "w1", { slot: "2", nodeId: anId("n2") })];
  const view = aView({ nodes, services: [db, web], tasks: [...there, task] });
  expect(explainPlacement(view, task).map(({ merits }) => merits)).toEqual([
    "0 of its tasks, 50 % reserved",
    "1 of its tasks, 0 % reserved, 1 wish unmet",
    "0 of its tasks, 0 % reserved, 1 wish unmet",
  ]);
});

test("the table for people tells of other services too", () => {
  const db = named("db");
  const web = named("web", rule({ relation: "apart" }));
  const task = aPendingTask(web, "w");
  const view = aView({ nodes, services: [db, web], tasks: [aTask(db, "d"), task] });
  expect(explainPlacement(view, task).map(({ reason }) => reason)).toEqual([
    "holds a task of shop/db, from which it is to be apart",
    undefined,
    undefined,
  ]);
});
