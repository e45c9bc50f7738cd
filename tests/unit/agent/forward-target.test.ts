import { describe, expect, test } from "bun:test";
import { forwardTarget } from "../../../src/agent/forward-target.ts";
import type { ContainerStatus } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId } from "../../builders.ts";

const running: ContainerStatus = {
  taskId: anId("t"),
  containerId: "c1",
  state: "running",
  address: "10.210.1.5",
};
const within = (networkMode: "bridge" | "host" | "none") =>
  anAssignment("t", { container: aContainer({ networkMode }) });

describe("where a task's ports are reached", () => {
  test("is its own address, or this machine where it has the machine's network", () => {
    expect(forwardTarget(within("bridge"), running)).toBe("10.210.1.5");
    expect(forwardTarget(within("host"), running)).toBe("127.0.0.1");
  });

  test("is nowhere without a network, and before or after it runs", () => {
    expect(() => forwardTarget(within("none"), running)).toThrow("the task has no network");
    const ended = { ...running, state: "exited" as const };
    expect(() => forwardTarget(within("bridge"), ended)).toThrow("the task does not run");
    expect(() => forwardTarget(undefined, running)).toThrow("the task does not run");
    expect(() => forwardTarget(within("bridge"), undefined)).toThrow("the task does not run");
  });
});
