import { describe, expect, test } from "bun:test";
import { isConverged } from "../../../../src/core/reconcile/service.ts";
import type { Service } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aNode,
  aPendingTask,
  aRestart,
  aService,
  aTask,
  aView,
  anId,
  withNewImage,
} from "../../../builders.ts";

const two = aService({ replicas: 2 });
const converged = (service: Service, tasks: Task[]) =>
  isConverged(aView({ services: [service], tasks }), service);
const pair = (over: Partial<Task> = {}) => [
  aTask(two, "a"),
  aTask(two, "b", { slot: "2", ...over }),
];

describe("a service has converged", () => {
  test("when every slot holds one ready task", () => {
    expect(converged(two, pair())).toBe(true);
  });

  test("with ended attempts in its slots", () => {
    expect(converged(two, [...pair(), aTask(two, "c", { state: "failed" })])).toBe(true);
  });

  test("when it wants no task and has none", () => {
    expect(converged(aService({ replicas: 0 }), [])).toBe(true);
  });

  test("when its task did its work and is not to run again", () => {
    const job = aService({ restart: aRestart({ condition: "on-failure" }) });
    expect(converged(job, [aTask(job, "a", { state: "complete" })])).toBe(true);
  });

  test("when a global one holds each fitting node", () => {
    const service = aService({ mode: "global" });
    const nodes = [aNode("n1"), aNode("n2", { availability: "drain" })];
    const tasks = [aTask(service, "a", { slot: anId("n1") })];
    expect(isConverged(aView({ nodes, services: [service], tasks }), service)).toBe(true);
  });
});

describe("a service has not converged", () => {
  const cases: [string, Service, Task[]][] = [
    ["while a slot is empty", two, pair().slice(1)],
    ["while a task waits", two, [aTask(two, "a"), aPendingTask(two, "b", { slot: "2" })]],
    ["while a task is not ready", two, pair({ health: "unhealthy" })],
    ["while two tasks share a slot", two, [...pair(), aTask(two, "c")]],
    ["while a task is outdated", withNewImage(two), pair()],
    [
      "while an old task is still ending",
      two,
      [...pair(), aTask(two, "c", { desired: "shutdown" })],
    ],
    [
      "while a slot that it gave up still runs",
      aService({ replicas: 1 }),
      [aTask(two, "a"), aTask(two, "b", { slot: "2", desired: "removed" })],
    ],
    ["when its attempts failed", two, [aTask(two, "a"), ...pair({ state: "failed" }).slice(1)]],
    [
      "when its policy gave up",
      aService({ restart: aRestart({ condition: "none" }) }),
      [aTask(two, "a", { state: "failed" })],
    ],
    ["while it is being removed", aService({ replicas: 0 }, { removing: true }), []],
  ];
  for (const [when, service, tasks] of cases) {
    test(when, () => expect(converged(service, tasks)).toBe(false));
  }
});

test("a global service that fits no node has not got there", () => {
  const lost = aService({ mode: "global" });
  expect(isConverged(aView({ nodes: [], services: [lost] }), lost)).toBe(false);
});
