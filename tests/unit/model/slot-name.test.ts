import { expect, test } from "bun:test";
import { containerNameOf } from "../../../src/model/assignment.ts";
import { baseOfSlot, runOfSlot, slotOfRun } from "../../../src/model/slot-name.ts";
import { formatTaskName } from "../../../src/model/task.ts";
import { anAssignment, anId, aService, aTask } from "../../builders.ts";

test("a slot of a run is told apart from that of another run, and taken apart again", () => {
  expect(slotOfRun("1", 7)).toBe("1@7");
  expect([baseOfSlot("1@7"), runOfSlot("1@7")]).toEqual(["1", 7]);
  expect([baseOfSlot("1"), runOfSlot("1")]).toEqual(["1", undefined]);
});

test("a task of a run on each node is told by the node's name and the run", () => {
  const task = aTask(aService(), "t", { slot: `${anId("n1")}@7`, nodeId: anId("n1") });
  expect(formatTaskName(task, "pump")).toBe("shop/web.pump@7");
  expect(formatTaskName({ ...task, slot: "1@7" }, "pump")).toBe("shop/web.1@7");
});

test("a container has a name that every runtime takes", () => {
  const name = containerNameOf(anAssignment("t", { slot: "1@7" }));
  expect(name).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/);
  expect(name).toContain("-1.7-");
});
