import { describe, expect, test } from "bun:test";
import { keeperOf, slotsOf } from "../../../../src/core/reconcile/slot.ts";
import type { DisconnectPolicy } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aNode, aService, aTask, aView, anId, withNewImage } from "../../../builders.ts";

const service = aService();
const ids = (tasks: readonly { id: string }[]) => tasks.map((task) => task.id);

describe("a slot tells its tasks apart", () => {
  test("by what the reconciler does with them", () => {
    const updated = withNewImage(service);
    const nodes = [
      aNode("n1"),
      aNode("drained", { availability: "drain" }),
      aNode("down", { health: "down" }),
    ];
    const tasks = [
      aTask(updated, "current"),
      aTask(service, "outdated"),
      aTask(updated, "leaving", { nodeId: anId("drained") }),
      aTask(updated, "away", { nodeId: anId("down") }),
      aTask(service, "stopping", { desired: "shutdown" }),
      aTask(service, "abandoned", { desired: "shutdown", nodeId: anId("down") }),
      aTask(service, "ended", { state: "failed" }),
    ];
    const slot = slotsOf(aView({ nodes, services: [updated], tasks }), updated).get("1");
    expect(slot).toMatchObject({
      current: [{ id: anId("current") }],
      outdated: [{ id: anId("leaving") }, { id: anId("outdated") }],
      away: [{ id: anId("away") }],
      stopping: [{ id: anId("stopping") }],
      abandoned: [{ id: anId("abandoned") }],
      ended: [{ id: anId("ended") }],
    });
  });

  test("live ones with the oldest first, ended ones with the latest first", () => {
    const tasks = [
      aTask(service, "c", { createdAt: 2 }),
      aTask(service, "b", { createdAt: 1 }),
      aTask(service, "a", { createdAt: 1 }),
      aTask(service, "e", { createdAt: 3, state: "failed" }),
      aTask(service, "f", { createdAt: 4, state: "failed" }),
    ];
    const slot = slotsOf(aView({ services: [service], tasks }), service).get("1");
    expect(slot && [ids(slot.current), ids(slot.ended)]).toEqual([
      [anId("a"), anId("b"), anId("c")],
      [anId("f"), anId("e")],
    ]);
  });

  test("and keeps one slot's apart from another's", () => {
    const tasks = [aTask(service, "a"), aTask(service, "b", { slot: "2" })];
    expect([...slotsOf(aView({ services: [service], tasks }), service).keys()]).toEqual(["1", "2"]);
  });
});

describe("of several tasks", () => {
  const nodes = [aNode("n1"), aNode("h2", { health: "down" })];
  const keeper = (reconcile: DisconnectPolicy["reconcile"], ...tasks: Task[]) => {
    const ruled = aService({ disconnect: { replaceAfterMs: 3000, reconcile } });
    return keeperOf(aView({ nodes, services: [ruled] }), ruled, tasks)?.id;
  };
  const starting = aTask(service, "a", { state: "starting" });
  const [first, second] = [aTask(service, "b"), aTask(service, "c", { startedAt: -1 })];

  test("one that serves keeps the slot, else the oldest", () => {
    const onDown = aTask(service, "d", { nodeId: anId("h2") });
    expect(keeper("keep-original", starting, first)).toBe(anId("b"));
    expect(keeper("keep-original", onDown, first)).toBe(anId("b"));
    expect(keeper("keep-original", starting, aTask(service, "c", { state: "assigned" }))).toBe(
      anId("a"),
    );
    expect(keeper("keep-original")).toBeUndefined();
  });

  test("that serve the one keeps it that the service's rule names", () => {
    expect(keeper("keep-original", first, second)).toBe(anId("b"));
    expect(keeper("keep-replacement", first, second, starting)).toBe(anId("c"));
    expect(keeper("longest-running", first, second)).toBe(anId("c"));
  });
});
