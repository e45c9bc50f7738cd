import { describe, expect, test } from "bun:test";
import { emptySlot, keeperOf, slotsOf } from "../../../../src/core/reconcile/slot.ts";
import { aService, aTask, anId, withNewImage } from "../../../builders.ts";

const service = aService();
const ids = (tasks: readonly { id: string }[]) => tasks.map((task) => task.id);

describe("a slot tells its tasks apart", () => {
  test("by what the reconciler does with them", () => {
    const updated = withNewImage(service);
    const tasks = [
      aTask(updated, "current"),
      aTask(service, "outdated"),
      aTask(service, "stopping", { desired: "shutdown" }),
      aTask(service, "ended", { state: "failed" }),
    ];
    const slot = slotsOf(tasks, 2).get("1");
    expect(slot && [slot.current, slot.outdated, slot.stopping, slot.ended].map(ids)).toEqual([
      [anId("current")],
      [anId("outdated")],
      [anId("stopping")],
      [anId("ended")],
    ]);
  });

  test("live ones with the oldest first, ended ones with the latest first", () => {
    const tasks = [
      aTask(service, "c", { createdAt: 2 }),
      aTask(service, "b", { createdAt: 1 }),
      aTask(service, "a", { createdAt: 1 }),
      aTask(service, "e", { createdAt: 3, state: "failed" }),
      aTask(service, "f", { createdAt: 4, state: "failed" }),
    ];
    const slot = slotsOf(tasks, 1).get("1");
    expect(slot && [ids(slot.current), ids(slot.ended)]).toEqual([
      [anId("a"), anId("b"), anId("c")],
      [anId("f"), anId("e")],
    ]);
  });

  test("and keeps one slot's apart from another's", () => {
    const tasks = [aTask(service, "a"), aTask(service, "b", { slot: "2" })];
    expect([...slotsOf(tasks, 1).keys()]).toEqual(["1", "2"]);
  });
});

test("of several tasks a ready one keeps the slot, else the oldest", () => {
  const starting = aTask(service, "a", { state: "starting" });
  const ready = aTask(service, "b");
  expect(keeperOf([starting, ready])).toBe(ready);
  expect(keeperOf([starting, aTask(service, "c", { state: "assigned" })])).toBe(starting);
  expect(keeperOf(emptySlot("1").current)).toBeUndefined();
});
