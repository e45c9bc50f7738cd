import { describe, expect, test } from "bun:test";
import { decideRestart, dueAt } from "../../../../src/core/reconcile/restart.ts";
import { TASK_STATES, isTerminal } from "../../../../src/model/task.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aRestart, aService, aTask } from "../../../builders.ts";

const service = aService();
const minutes = (count: number) => count * 60_000;

/** An attempt that started at 0 and ended at `ranMs`. */
function ended(state: Task["state"], over: Partial<Task> = {}, ranMs = 50): Task {
  return aTask(service, "t", { state, startedAt: 0, finishedAt: ranMs, ...over });
}

/** How long the slot waits after the attempt, in seconds. */
function waitSeconds(task: Task, policy = aRestart()): number {
  const decision = decideRestart(task, policy);
  if (decision.type !== "retry") return Number.NaN;
  return (decision.at - (task.finishedAt ?? 0)) / 1000;
}

describe("a crashing task waits before its next attempt", () => {
  test("1 second at first, doubling up to 5 minutes", () => {
    const waits = Array.from({ length: 12 }, (_, failures) =>
      waitSeconds(ended("failed", { failures })),
    );
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
  });

  test("no longer than 5 minutes after ten thousand failures", () => {
    expect(waitSeconds(ended("failed", { failures: 10_000 }))).toBe(300);
  });

  test("1 second again after it ran for 10 minutes", () => {
    const task = (ranMs: number) => ended("failed", { failures: 8 }, ranMs);
    expect(waitSeconds(task(minutes(10) - 1))).toBe(256);
    expect(waitSeconds(task(minutes(10)))).toBe(1);
    expect(decideRestart(task(minutes(10)), aRestart())).toMatchObject({ failures: 1 });
  });

  test("its own delay when that is longer than the longest", () => {
    expect(waitSeconds(ended("failed"), aRestart({ delayMs: 5000, delayMaxMs: 1000 }))).toBe(5);
  });

  test("not at all when the policy's delay is 0", () => {
    expect(waitSeconds(ended("failed", { failures: 5 }), aRestart({ delayMs: 0 }))).toBe(0);
  });

  test("from when it ended, or from its state's time where that is not known", () => {
    const { finishedAt: _, ...task } = ended("failed", { since: 7000 });
    expect(decideRestart(task, aRestart())).toEqual({
      type: "retry",
      at: 8000,
      endedAt: 7000,
      failures: 1,
    });
  });
});

describe("what the condition allows", () => {
  const table: [Task["state"], "none" | "on-failure" | "any", string][] = [
    ["complete", "none", "done"],
    ["complete", "on-failure", "done"],
    ["complete", "any", "retry"],
    ["failed", "none", "giveUp"],
    ["failed", "on-failure", "retry"],
    ["failed", "any", "retry"],
    ["rejected", "none", "retry"],
    ["rejected", "on-failure", "retry"],
    ["rejected", "any", "retry"],
    ["lost", "none", "retry"],
    ["lost", "on-failure", "retry"],
    ["lost", "any", "retry"],
    ["shutdown", "none", "retry"],
    ["shutdown", "on-failure", "retry"],
    ["shutdown", "any", "retry"],
    ["removed", "none", "retry"],
    ["removed", "on-failure", "retry"],
    ["removed", "any", "retry"],
  ];
  for (const [state, condition, expected] of table) {
    test(`after ${state} under ${condition}: ${expected}`, () => {
      expect(decideRestart(ended(state), aRestart({ condition })).type).toBe(expected as "done");
    });
  }

  test("every end of a task is in the table", () => {
    const told = new Set(table.map(([state]) => state));
    expect(TASK_STATES.filter(isTerminal).filter((state) => !told.has(state))).toEqual([]);
  });
});

describe("attempts are limited", () => {
  test("to none, with a maximum of 0", () => {
    expect(decideRestart(ended("failed"), aRestart({ maxAttempts: 0 }))).toEqual({
      type: "giveUp",
      reason: "it has used all 0 restarts",
    });
  });

  test("to as many restarts as the policy says, and not one more", () => {
    const policy = aRestart({ maxAttempts: 3 });
    const types = [0, 1, 2, 3, 4].map((n) =>
      decideRestart(ended("failed", { failures: n }), policy),
    );
    expect(types.map(({ type }) => type)).toEqual(["retry", "retry", "retry", "giveUp", "giveUp"]);
  });

  test("within a row: an attempt that ran through the window begins a new one", () => {
    const policy = aRestart({ maxAttempts: 3, windowMs: 5000 });
    expect(decideRestart(ended("failed", { failures: 3 }, 4999), policy).type).toBe("giveUp");
    expect(decideRestart(ended("failed", { failures: 3 }, 5000), policy).type).toBe("retry");
  });

  test("for attempts that never started as well", () => {
    const { startedAt: _, ...rejected } = ended("rejected", { failures: 3 });
    expect(decideRestart(rejected, aRestart({ maxAttempts: 3 })).type).toBe("giveUp");
  });
});

test("a task that was asked to end owes nothing: its slot is filled again at once", () => {
  expect(decideRestart(ended("shutdown", { failures: 8 }), aRestart())).toEqual({
    type: "retry",
    at: 50,
    endedAt: 50,
    failures: 0,
  });
});

test("a wait that began in the future is over: the clock was set back", () => {
  const decision = decideRestart(ended("failed", { finishedAt: 3_600_000 }), aRestart());
  if (decision.type !== "retry") throw new Error("a failed task is started again");
  expect(dueAt(decision, 60_000)).toBe(60_000);
  expect(dueAt(decision, 3_600_000)).toBe(3_601_000);
});
