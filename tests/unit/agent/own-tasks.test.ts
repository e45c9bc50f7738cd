import { describe, expect, test } from "bun:test";
import type { Containers } from "../../../src/agent/containers.ts";
import { ownTasksOf } from "../../../src/agent/own-tasks.ts";
import { Worker, type WorkerOptions } from "../../../src/agent/worker.ts";
import { silentLog } from "../../../src/lib/log.ts";
import type { TaskId } from "../../../src/model/ids.ts";
import type { TaskStatus } from "../../../src/model/task.ts";
import { aContainer, anAssignment, anId, aStatus } from "../../builders.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";

const id: TaskId = anId("t");

/** Whether task t gets traffic: undefined where the node says nothing of it at all. */
function isReady(
  status: Partial<TaskStatus>,
  { desired = "running", withdrawn = [] as TaskId[], found = "running" as const } = {},
): boolean | undefined {
  const known = { taskId: id, containerId: "c", state: found, address: "10.210.1.2" };
  const containers = { isListed: true, get: () => known } as unknown as Containers;
  const worker = new Worker({
    clock: new VirtualClock(0),
    log: silentLog,
    containers,
    executor: {} as WorkerOptions["executor"],
    readiness: {} as WorkerOptions["readiness"],
    isCutOff: () => false,
    onStarting: () => {},
    onStatus: () => {},
    onForget: () => {},
  });
  const container = aContainer({ networkMode: "bridge" });
  const assignment = anAssignment("t", { container, desired: desired as "running" });
  worker.restore({ generation: 1, assignments: [assignment] }, [aStatus("t", status)]);
  return ownTasksOf(worker, containers, new Set(withdrawn))?.[0]?.isReady;
}

describe("a node's own task", () => {
  test("gets traffic when it runs and is well", () => {
    expect(isReady({ state: "running", health: "healthy" })).toBe(true);
  });

  test("gets none before it is well", () => {
    expect(isReady({ state: "running", health: "starting" })).toBe(false);
    expect(isReady({ state: "running", health: "unhealthy" })).toBe(false);
    expect(isReady({ state: "starting" })).toBe(false);
  });

  test("gets none from when it is told to end, or on its way out", () => {
    const well = { state: "running", health: "healthy" } as const;
    expect(isReady(well, { desired: "shutdown" })).toBe(false);
    expect(isReady(well, { withdrawn: [id] })).toBe(false);
  });

  test("has no address any more when it has ended", () => {
    expect(isReady({ state: "failed" })).toBeUndefined();
  });
});
