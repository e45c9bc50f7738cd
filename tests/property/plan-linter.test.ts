import { describe, expect, test } from "bun:test";
import type { Action, Plan } from "../../src/core/reconcile/plan.ts";
import {
  aContainer,
  aNode,
  aPendingTask,
  aService,
  aTask,
  aView,
  aVolumeMount,
  anId,
  withNewImage,
} from "../builders.ts";
import type { Mount } from "../../src/model/container.ts";
import type { Task } from "../../src/model/task.ts";
import { lintPlan } from "../plan-linter.ts";

const before = aService({ replicas: 2 });
const service = withNewImage(before);
const tasks = [
  aTask(before, "a"),
  aTask(before, "b", { slot: "2" }),
  aTask(before, "ended", { slot: "2", state: "failed" }),
];
const create = (over: Parameters<typeof aPendingTask>[2] = {}): Action => {
  return { type: "createTask", task: aPendingTask(service, "new", over) };
};
const retire = (name: string): Action => ({ type: "retireTask", taskId: anId(name) });
const start = (name: string): Action => ({ type: "startTask", taskId: anId(name) });
const stop = (name: string): Action => ({ type: "stopTask", taskId: anId(name), reason: "" });

/** What the linter says of a plan for two outdated tasks that are replaced stop-first. */
function lint(...actions: Action[]): string[] {
  return lintPlan(aView({ services: [service], tasks }), service, { actions }, 1000);
}

describe("the linter lets pass", () => {
  test("the next step of an update", () => {
    expect(lint(stop("a"))).toEqual([]);
  });

  test("the end of all that have to leave the only node that can hold them", () => {
    const ends = (drained: string, mounts: Mount[]) => {
      const tied = withNewImage(before, { container: aContainer({ image: "web:2", mounts }) });
      const nodes = [aNode("n1", { availability: "drain" }), aNode("n2")];
      const here = tasks.map((task) => ({ ...task, nodeId: anId<"node">(drained) }));
      const view = aView({ nodes, services: [tied], tasks: here });
      return lintPlan(view, tied, { actions: [stop("a"), stop("b")] }, 1000);
    };
    const tooMany = ["takes 2 ready tasks away at once, beyond 1"];
    expect(ends("n1", [aVolumeMount("data")])).toEqual([]);
    expect(ends("n2", [aVolumeMount("data")])).toEqual(tooMany);
    expect(ends("n1", [])).toEqual(tooMany);
  });
});

describe("the linter refuses", () => {
  const cases: [string, Action[], string][] = [
    ["two acts on one task", [stop("a"), stop("a")], "acts twice on one task"],
    [
      "the end of more tasks than the turn is for",
      [stop("a"), stop("b")],
      "takes 2 ready tasks away",
    ],
    ["a task beside the old one", [create()], "starts first in slot 1"],
    [
      "a task that is not of the newest revision",
      [create({ revision: 1 })],
      "creates an old revision",
    ],
    ["a task in a slot that nobody wants", [create({ slot: "3" })], "creates a task in slot 3"],
    [
      "two tasks in one slot",
      [create(), create({ id: anId("o") })],
      "creates two tasks in one slot",
    ],
    ["a task that has a node already", [create({ nodeId: anId("n1") })], "creates no pending task"],
    ["a task with the id of another", [create({ id: anId("a") })], "creates axxx"],
    ["the end of an ended task", [stop("ended")], "stops endedxxxxxxx, which is not live"],
    ["a live task as one that is over", [retire("a")], "retires axxxxxxxxxxx, which has not ended"],
    ["a start of what is not staged", [start("a")], "starts a task that is not staged"],
    ["the end of nobody", [stop("nobody")], "stops a task that is not there"],
    [
      "forgetting what may still run",
      [{ type: "deleteTask", taskId: anId("a") }],
      "forgets axxxxxxxxxxx, of which something may be left",
    ],
    [
      "forgetting a service that is wanted",
      [{ type: "deleteService", serviceId: service.id }],
      "deletes a service that is wanted",
    ],
  ];
  for (const [what, actions, told] of cases) {
    test(what, () => {
      const problems = lint(...actions).filter((problem) => problem.startsWith(told));
      expect(problems).toHaveLength(1);
    });
  }

  const lintOf = (current: Task[], ...actions: Action[]) =>
    lintPlan(aView({ services: [before], tasks: current }), before, { actions }, 1000);

  test("a start beside a task that may still run", () => {
    const staged = aTask(before, "new", { attempt: 2, desired: "prepared", state: "prepared" });
    const told = aTask(before, "old", { desired: "shutdown" });
    expect(lintOf([told, staged], start("new"))).toEqual([
      "starts newxxxxxxxxx beside oldxxxxxxxxx",
    ]);
    expect(lintOf([{ ...told, state: "shutdown" }, staged], start("new"))).toEqual([]);
  });

  test("to leave what ended wanted, where its slot has gone on without it", () => {
    const ended = aTask(before, "old", { state: "failed" });
    const live = aTask(before, "live", { attempt: 2 });
    const told = "leaves oldxxxxxxxxx wanted, which its slot has gone on without";
    expect(lintOf([ended, live])).toEqual([told]);
    expect(lintOf([ended, live], retire("old"))).toEqual([]);
    expect(lintOf([ended], retire("old"))).toEqual([
      "retires oldxxxxxxxxx, which its slot goes on from",
    ]);
  });

  test("a look at a time that has passed", () => {
    const plan: Plan = { actions: [], wakeAt: 1000 };
    const view = aView({ services: [service], tasks });
    expect(lintPlan(view, service, plan, 1000)).toEqual(["wakes in the past"]);
  });
});
