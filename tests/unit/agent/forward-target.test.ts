import { describe, expect, test } from "bun:test";
import { forwardTarget } from "../../../src/agent/forward-target.ts";
import type { TaskId } from "../../../src/model/ids.ts";
import type { ContainerStatus } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId } from "../../builders.ts";

const running: ContainerStatus = {
  taskId: anId("t"),
  containerId: "c1",
  state: "running",
  address: "10.210.1.5",
};
const within = (networkMode: "bridge" | "host" | "none" | "service") =>
  anAssignment("t", { container: aContainer({ networkMode }) });

const only = (...all: ContainerStatus[]) => ({
  get: (taskId: TaskId) => all.find((one) => one.taskId === taskId),
});

describe("where a task's ports are reached", () => {
  test("is its own address, or this machine where it has the machine's network", () => {
    expect(forwardTarget(within("bridge"), only(running))).toBe("10.210.1.5");
    expect(forwardTarget(within("host"), only(running))).toBe("127.0.0.1");
  });

  test("is the address of the task whose network it shares", () => {
    const owner = { ...running, taskId: anId<"task">("o") };
    const sharer: ContainerStatus = {
      taskId: anId("t"),
      containerId: "c2",
      state: "running",
      networkTask: owner.taskId,
    };
    expect(forwardTarget(within("service"), only(owner, sharer))).toBe("10.210.1.5");
    expect(() => forwardTarget(within("service"), only(sharer))).toThrow("the task has no network");
  });

  test("is nowhere without a network, and before or after it runs", () => {
    expect(() => forwardTarget(within("none"), only(running))).toThrow("the task has no network");
    const ended = { ...running, state: "exited" as const };
    expect(() => forwardTarget(within("bridge"), only(ended))).toThrow("the task does not run");
    expect(() => forwardTarget(undefined, only(running))).toThrow("the task does not run");
    expect(() => forwardTarget(within("bridge"), only())).toThrow("the task does not run");
  });
});
