import { describe, expect, test } from "bun:test";
import { awaitedPorts, planStep, type FoundContainer } from "../../../../src/core/task/step.ts";
import type { Assignment } from "../../../../src/model/assignment.ts";
import type { DesiredState, TaskState } from "../../../../src/model/task.ts";
import { isTerminal, rankOf, TASK_STATES } from "../../../../src/model/task.ts";
import { aContainer, anAssignment, aPort, aStatus } from "../../../builders.ts";
import { settle } from "./settle.ts";

const CONTAINERS = ["none", "created", "running", "exited 0", "exited 1"] as const;
type Container = (typeof CONTAINERS)[number];
const FOUND: Record<Container, FoundContainer | undefined> = {
  none: undefined,
  created: { state: "created" },
  running: { state: "running", startedAt: 5 },
  "exited 0": { state: "exited", startedAt: 5, finishedAt: 9, exitCode: 0 },
  "exited 1": { state: "exited", startedAt: 5, finishedAt: 9, exitCode: 1 },
};

/** The step as a word, with the state that it reports. */
function stepOf(desired: DesiredState, state: TaskState, container: Container): string {
  const assignment = anAssignment("t", { desired });
  const status = rankOf(state) > rankOf("assigned") ? aStatus("t", { state }) : undefined;
  const step = planStep({ assignment, status, container: FOUND[container] }, 100);
  if (step === undefined) return "-";
  return step.type === "report" ? `report ${step.status.state}` : step.type;
}

/** For each state that was reached: the step for each container, in the order of CONTAINERS. */
const TABLE: Record<DesiredState, Partial<Record<TaskState, string[]>>> = {
  prepared: {
    assigned: [
      "report preparing",
      "report prepared",
      "report running",
      "report complete",
      "report failed",
    ],
    preparing: ["create", "report prepared", "report running", "report complete", "report failed"],
    prepared: ["create", "-", "report running", "report complete", "report failed"],
    starting: ["report failed", "-", "report running", "report complete", "report failed"],
    running: ["report failed", "-", "-", "report complete", "report failed"],
    complete: ["-", "-", "stop", "-", "-"],
    shutdown: ["-", "-", "stop", "-", "-"],
    failed: ["-", "-", "stop", "-", "-"],
    rejected: ["-", "-", "stop", "-", "-"],
    lost: ["-", "-", "stop", "-", "-"],
    removed: ["-", "-", "stop", "-", "-"],
  },
  running: {
    assigned: [
      "report preparing",
      "report starting",
      "report running",
      "report complete",
      "report failed",
    ],
    preparing: ["create", "report starting", "report running", "report complete", "report failed"],
    prepared: ["create", "report starting", "report running", "report complete", "report failed"],
    starting: ["report failed", "start", "report running", "report complete", "report failed"],
    running: ["report failed", "report failed", "-", "report complete", "report failed"],
    complete: ["-", "-", "stop", "-", "-"],
    shutdown: ["-", "-", "stop", "-", "-"],
    failed: ["-", "-", "stop", "-", "-"],
    rejected: ["-", "-", "stop", "-", "-"],
    lost: ["-", "-", "stop", "-", "-"],
    removed: ["-", "-", "stop", "-", "-"],
  },
  shutdown: {
    assigned: ["report shutdown", "report shutdown", "stop", "report shutdown", "report shutdown"],
    preparing: ["report shutdown", "report shutdown", "stop", "report shutdown", "report shutdown"],
    prepared: ["report shutdown", "report shutdown", "stop", "report shutdown", "report shutdown"],
    starting: ["report shutdown", "report shutdown", "stop", "report shutdown", "report shutdown"],
    running: ["report shutdown", "report shutdown", "stop", "report shutdown", "report shutdown"],
    complete: ["-", "-", "stop", "-", "-"],
    shutdown: ["-", "-", "stop", "-", "-"],
    failed: ["-", "-", "stop", "-", "-"],
    rejected: ["-", "-", "stop", "-", "-"],
    lost: ["-", "-", "stop", "-", "-"],
    removed: ["-", "-", "stop", "-", "-"],
  },
  removed: {
    assigned: ["report shutdown", "remove", "stop", "remove", "remove"],
    preparing: ["report shutdown", "remove", "stop", "remove", "remove"],
    prepared: ["report shutdown", "remove", "stop", "remove", "remove"],
    starting: ["report shutdown", "remove", "stop", "remove", "remove"],
    running: ["report shutdown", "remove", "stop", "remove", "remove"],
    complete: ["report removed", "remove", "stop", "remove", "remove"],
    shutdown: ["report removed", "remove", "stop", "remove", "remove"],
    failed: ["report removed", "remove", "stop", "remove", "remove"],
    rejected: ["report removed", "remove", "stop", "remove", "remove"],
    lost: ["report removed", "remove", "stop", "remove", "remove"],
    removed: ["-", "remove", "stop", "remove", "remove"],
  },
};

describe("the next step of a task", () => {
  for (const desired of ["prepared", "running", "shutdown", "removed"] as const) {
    for (const state of TASK_STATES.filter((s) => rankOf(s) >= rankOf("assigned"))) {
      test(`that is wanted ${desired} and is ${state}, for each container`, () => {
        const steps = CONTAINERS.map((container) => stepOf(desired, state, container));
        expect(steps).toEqual(TABLE[desired][state] ?? []);
      });
    }
  }

  test("that is not wanted here any more is to remove the container, then to forget", () => {
    const status = aStatus("t");
    for (const container of CONTAINERS.slice(1)) {
      expect(planStep({ status, container: FOUND[container] }, 100)).toEqual({ type: "remove" });
    }
    expect(planStep({ status }, 100)).toEqual({ type: "forget" });
    expect(planStep({}, 100)).toBeUndefined();
  });
});

describe("a task that its node ends for its health", () => {
  const status = aStatus("t", {
    health: "unhealthy",
    message: "unhealthy: no answer",
    ending: true,
  });

  test("is stopped while it runs, and has failed once it does not, whatever its code", () => {
    const assignment = anAssignment("t");
    const stop = planStep({ assignment, status, container: FOUND["running"] }, 100);
    expect(stop).toMatchObject({ type: "stop" });
    for (const container of ["exited 0", "exited 1"] as const) {
      const step = planStep({ assignment, status, container: FOUND[container] }, 100);
      expect(step).toMatchObject({
        status: { state: "failed", message: "unhealthy: no answer", health: "none" },
      });
      expect(JSON.stringify(step)).not.toContain("ending");
    }
  });

  test("is shut down like any other when it is asked to end meanwhile", () => {
    const assignment = anAssignment("t", { desired: "shutdown" });
    const step = planStep({ assignment, status, container: FOUND["exited 0"] }, 100);
    expect(step).toMatchObject({ status: { state: "shutdown", message: "" } });
  });
});

describe("a report", () => {
  test("of a task that has to be found ready first says that it starts", () => {
    const container = { state: "running", startedAt: 7 } as const;
    const task = { assignment: anAssignment("t"), container };
    expect(planStep({ ...task, isHeld: true }, 100)).toMatchObject({
      status: { health: "starting" },
    });
    expect(planStep({ ...task, isHeld: false }, 100)).toMatchObject({ status: { health: "none" } });
  });

  test("of a task that runs carries its start and its address", () => {
    const container = { state: "running", startedAt: 7, address: "10.210.1.2" } as const;
    const step = planStep({ assignment: anAssignment("t"), container }, 100);
    expect(step).toMatchObject({
      status: { state: "running", startedAt: 7, address: "10.210.1.2" },
    });
  });

  test("of a start that nobody timed takes the present", () => {
    const container = { state: "running" } as const;
    const step = planStep({ assignment: anAssignment("t"), container }, 100);
    expect(step).toMatchObject({ status: { startedAt: 100 } });
  });

  test("of an end carries the code, in words", () => {
    const exited = { state: "exited", exitCode: 137, outOfMemory: true, finishedAt: 9 } as const;
    const step = planStep({ assignment: anAssignment("t"), container: exited }, 100);
    expect(step).toMatchObject({
      status: {
        state: "failed",
        exitCode: 137,
        finishedAt: 9,
        message: "ran out of memory and was killed (code 137)",
      },
    });
  });

  test("of an asked end carries the code as well", () => {
    const assignment = anAssignment("t", { desired: "shutdown" });
    const step = planStep({ assignment, container: FOUND["exited 1"] }, 100);
    expect(step).toMatchObject({ status: { state: "shutdown", exitCode: 1, finishedAt: 9 } });
  });

  test("never steps behind what the server knows", () => {
    const assignment = anAssignment("t", { state: "failed" });
    expect(planStep({ assignment }, 100)).toBeUndefined();
    expect(planStep({ assignment: { ...assignment, state: "running" } }, 100)).toMatchObject({
      status: { state: "failed", message: "its container was removed by somebody else" },
    });
  });
});

test("a container gets the time to stop that its service gives it", () => {
  const assignment = anAssignment("t", { desired: "shutdown" });
  const step = planStep({ assignment, container: FOUND.running }, 100);
  expect(step).toEqual({ type: "stop", graceMs: 10_000 });
});

describe("steps come to an end", () => {
  for (const desired of ["running", "shutdown", "removed", undefined] as const) {
    for (const state of TASK_STATES) {
      for (const container of CONTAINERS) {
        test(`${desired ?? "not wanted"}, ${state}, container ${container}`, () => {
          const before = state === "new" ? undefined : aStatus("t", { state });
          const world = settle({
            assignment: desired && anAssignment("t", { desired }),
            status: before,
            container: FOUND[container],
          });
          expect(world.steps.length).toBeLessThan(8);
          if (desired === undefined)
            expect([world.status, world.container]).toEqual([undefined, undefined]);
          if (desired === "shutdown") expect(world.container?.state).not.toBe("running");
          if (desired === "removed") {
            expect([world.status?.state, world.container]).toEqual(["removed", undefined]);
          }
          if (before !== undefined && isTerminal(before.state)) {
            expect(world.steps).not.toContain("start");
            expect(world.container?.state).not.toBe("running");
          }
          expect(world.starts).toBeLessThanOrEqual(1);
        });
      }
    }
  }
});

describe("a container that runs", () => {
  const ports = [aPort({ target: 80 }), aPort({ target: 53, protocol: "udp" })];
  const running: FoundContainer = { state: "running", startedAt: 5, address: "10.210.1.2" };
  const healthOf = (assignment: Assignment, container: FoundContainer) => {
    const step = planStep({ assignment, status: undefined, container }, 100);
    return step?.type === "report" ? step.status.health : undefined;
  };

  test("is held back until its published TCP ports take connections", () => {
    expect(healthOf(anAssignment("t", { ports }), running)).toBe("starting");
    expect(awaitedPorts(anAssignment("t", { ports }), running)).toEqual([80]);
    const takesRequests = anAssignment("t", { requestPorts: [8080, 8080] });
    expect(healthOf(takesRequests, running)).toBe("starting");
    expect(awaitedPorts(takesRequests, running)).toEqual([8080]);
  });

  test("is ready at once where it publishes nothing, or has no address of its own", () => {
    expect(healthOf(anAssignment("t"), running)).toBe("none");
    expect(healthOf(anAssignment("t", { ports }), { state: "running" })).toBe("none");
  });
});

describe("a task that shares the network of another one which has ended", () => {
  const container = aContainer({ networkMode: "service", networkOf: "vpn" });
  const assignment = anAssignment("t", { container });
  const step = (state: TaskState, found: Container, ending = false) => {
    const status = aStatus("t", { state, ...(ending ? { ending } : {}) });
    return planStep({ assignment, status, container: FOUND[found], isCutOff: true }, 100);
  };

  test("is ended as what is unhealthy is, with the reason", () => {
    expect(step("running", "running")).toMatchObject({
      type: "report",
      status: {
        state: "running",
        health: "unhealthy",
        ending: true,
        message: "the task of shop/vpn whose network it shared has ended",
      },
    });
    expect(step("running", "running", true)).toMatchObject({ type: "stop" });
    expect(step("running", "exited 0", true)).toMatchObject({ status: { state: "failed" } });
  });

  test("gets another container before it was started, and none after", () => {
    expect(step("preparing", "created")).toEqual({ type: "remove" });
    expect(step("prepared", "created")).toEqual({ type: "remove" });
    expect(step("starting", "created")).toMatchObject({ status: { state: "failed" } });
  });
});
