import { describe, expect, test } from "bun:test";
import {
  formatTaskName,
  isFailure,
  isLive,
  isReady,
  isTerminal,
  occupiesNode,
  rankOf,
  TASK_STATES,
  inServerTime,
  withStatus,
} from "../../../src/model/task.ts";
import { aPendingTask, aService, aStatus, aTask, anId } from "../../builders.ts";

const service = aService();

describe("a task's state", () => {
  test("never goes back, whatever is reported after whatever", () => {
    for (const state of TASK_STATES) {
      for (const reported of TASK_STATES) {
        const after = withStatus(aTask(service, "t", { state }), aStatus("t", { state: reported }));
        expect(rankOf(after.state)).toBeGreaterThanOrEqual(rankOf(state));
      }
    }
  });

  test("changes only to removed once the task has ended", () => {
    for (const state of TASK_STATES.filter(isTerminal)) {
      for (const reported of TASK_STATES) {
        const task = aTask(service, "t", { state });
        const after = withStatus(task, aStatus("t", { state: reported }));
        expect(after.state).toBe(reported === "removed" ? "removed" : state);
      }
    }
  });

  test("ends with complete, shutdown, failed, rejected, lost or removed", () => {
    expect(TASK_STATES.filter(isTerminal)).toEqual([
      "complete",
      "shutdown",
      "failed",
      "rejected",
      "lost",
      "removed",
    ]);
  });

  test("counts as a failure only when the attempt ended otherwise than asked", () => {
    expect(TASK_STATES.filter(isFailure)).toEqual(["failed", "rejected", "lost"]);
  });
});

describe("a report", () => {
  test("that says nothing new leaves the very same object", () => {
    const task = aTask(service, "t", { startedAt: 5 });
    expect(withStatus(task, aStatus("t", { since: 99, startedAt: 5 }))).toBe(task);
  });

  test("fills in what was not known and keeps what it does not mention", () => {
    const task = aTask(service, "t", { startedAt: 5, address: "10.210.1.2" });
    const after = withStatus(task, aStatus("t", { state: "failed", exitCode: 1, finishedAt: 9 }));
    expect(after).toEqual({ ...task, state: "failed", exitCode: 1, finishedAt: 9 });
  });

  test("of the same state brings news of its health", () => {
    const after = withStatus(aTask(service, "t"), aStatus("t", { health: "unhealthy" }));
    expect(after.health).toBe("unhealthy");
  });

  test("of the removal keeps the reason for the end", () => {
    const task = aTask(service, "t", { state: "failed", message: "exited with code 1" });
    const after = withStatus(task, aStatus("t", { state: "removed" }));
    expect([after.state, after.message]).toEqual(["removed", "exited with code 1"]);
  });

  test("changes neither identity, slot, node nor what is wanted", () => {
    const task = aTask(service, "t", { desired: "shutdown" });
    const { id, serviceId, slot, nodeId, desired, revision } = withStatus(
      task,
      aStatus("other", { state: "failed" }),
    );
    expect([id, serviceId, slot, nodeId, desired, revision]).toEqual([
      task.id,
      task.serviceId,
      task.slot,
      task.nodeId,
      "shutdown",
      task.revision,
    ]);
  });
});

describe("a task", () => {
  test("is ready when it runs, is wanted and its health does not speak against it", () => {
    const ready = (["none", "starting", "healthy", "unhealthy"] as const).map((health) =>
      isReady(aTask(service, "t", { health })),
    );
    expect(ready).toEqual([true, false, true, false]);
    expect(isReady(aTask(service, "t", { desired: "shutdown" }))).toBe(false);
    expect(isReady(aTask(service, "t", { state: "starting" }))).toBe(false);
  });

  test("holds its slot until it is told to end, and its node's room until it has", () => {
    const ending = aTask(service, "t", { desired: "shutdown" });
    expect([isLive(ending), occupiesNode(ending)]).toEqual([false, true]);
    const ended = aTask(service, "t", { desired: "shutdown", state: "shutdown" });
    expect([isLive(ended), occupiesNode(ended)]).toEqual([false, false]);
    const pending = aPendingTask(service, "t");
    expect([isLive(pending), occupiesNode(pending)]).toEqual([true, false]);
  });

  test("is named by stack, service and slot, a global one by its node's host name", () => {
    expect(formatTaskName(aTask(service, "t", { slot: "3" }), "pi-1")).toBe("shop/web.3");
    expect(formatTaskName(aTask(service, "t", { slot: anId("n1") }), "pi-1")).toBe("shop/web.pi-1");
    expect(formatTaskName(aTask(service, "t", { slot: anId("n1") }))).toBe("shop/web.n1xxxxxxxxxx");
  });
});

describe("times of a node whose clock is wrong", () => {
  const NOW = 1_000_000_000;
  const task = aTask(aService(), "t", { state: "starting", createdAt: NOW - 60_000 });
  const ended = (at: number) =>
    aStatus("t", { state: "failed", since: at, startedAt: at - 5000, finishedAt: at });

  test("are those of the server, and durations stay", () => {
    for (const at of [NOW + 600_000, 0, NOW - 600_000]) {
      expect(inServerTime(task, ended(at), NOW)).toMatchObject({
        since: NOW,
        startedAt: NOW - 5000,
        finishedAt: NOW,
      });
    }
  });

  test("stay where they can be right", () => {
    const status = ended(NOW - 10_000);
    expect(inServerTime(task, status, NOW)).toBe(status);
  });

  test("are given once: a state that is told again changes nothing", () => {
    const status = aStatus("t", { since: 0, startedAt: 0 });
    const running = withStatus(task, inServerTime(task, status, NOW));
    expect(running).toMatchObject({ since: NOW, startedAt: NOW });
    expect(withStatus(running, inServerTime(running, status, NOW + 5000))).toBe(running);
  });
});
