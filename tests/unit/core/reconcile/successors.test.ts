import { describe, expect, test } from "bun:test";
import { takeUpSuccessors } from "../../../../src/core/reconcile/successors.ts";
import type { Successor } from "../../../../src/model/successor.ts";
import { aNode, anId, aService, aStatus, aTask, aView } from "../../../builders.ts";

const web = aService();
const n1 = anId<"node">("n1");
const before = aTask(web, "t1", { nodeId: n1, state: "running", slot: "2", attempt: 3 });
const view = aView({
  nodes: [aNode("n1"), aNode("n2")],
  services: [web],
  tasks: [before, aTask(web, "told", { nodeId: n1, state: "running", desired: "shutdown" })],
});
const aSuccessor = (over: Partial<Successor> = {}): Successor => ({
  taskId: anId("t2"),
  predecessor: before.id,
  ended: aStatus("t1", { taskId: before.id, state: "failed", exitCode: 1, finishedAt: 50 }),
  failures: 2,
  createdAt: 60,
  ...over,
});

describe("tasks that an agent made while it was alone", () => {
  test("take their slot, and the task before them has ended", () => {
    const [ended, made] = takeUpSuccessors(view, n1, [aSuccessor()], 100);
    const end = { state: "failed", exitCode: 1, desired: "shutdown" } as const;
    expect(ended).toMatchObject({ id: before.id, ...end });
    expect(made).toMatchObject({
      id: anId("t2"),
      nodeId: n1,
      slot: "2",
      attempt: 3,
      failures: 2,
      desired: "running",
      state: "assigned",
      version: 0,
    });
  });

  for (const [title, successor, node] of [
    ["of another node's tasks", aSuccessor(), anId<"node">("n2")],
    ["of a task that nobody knows", aSuccessor({ predecessor: anId("t9") }), n1],
    ["of a task that was told to end", aSuccessor({ predecessor: anId("told") }), n1],
    ["under the id of a task that is there", aSuccessor({ taskId: anId("told") }), n1],
    ["of a task that has not ended", aSuccessor({ ended: aStatus("t1") }), n1],
    [
      "with the end of another task",
      aSuccessor({ ended: aStatus("told", { state: "failed" }) }),
      n1,
    ],
  ] as const) {
    test(`are not taken up ${title}`, () => {
      expect(takeUpSuccessors(view, node, [successor], 100)).toEqual([]);
    });
  }

  test("are younger than the task before them, and made by now, whatever their clock says", () => {
    const ages = [-5, 60, 7000].map((createdAt) => {
      return takeUpSuccessors(view, n1, [aSuccessor({ createdAt })], 100)[1]?.createdAt;
    });
    expect(ages).toEqual([1, 60, 100]);
  });

  test("take the place of one whose agent did not hear that it was taken up", () => {
    const [ended, first] = takeUpSuccessors(view, n1, [aSuccessor()], 100);
    if (ended === undefined || first === undefined) throw new Error("the first is taken up");
    const later = aView({ nodes: [aNode("n1")], services: [web], tasks: [ended, first] });
    const taken = takeUpSuccessors(later, n1, [aSuccessor({ taskId: anId("t3") })], 200);
    expect(taken.map(({ id, desired, state }) => [id, desired, state])).toEqual([
      [before.id, "shutdown", "failed"],
      [anId("t2"), "shutdown", "lost"],
      [anId("t3"), "running", "assigned"],
    ]);
    expect(takeUpSuccessors(later, n1, [aSuccessor()], 200)).toEqual([]);
  });

  test("leave what was to be removed on its way, as by the history of its slot", () => {
    const gone = { ...before, state: "failed", desired: "removed" } as const;
    const first = { nodeId: n1, state: "running", slot: "2", attempt: 3 } as const;
    const tasks = [gone, aTask(web, "t2", first)];
    const later = aView({ nodes: [aNode("n1")], services: [web], tasks });
    const taken = takeUpSuccessors(later, n1, [aSuccessor({ taskId: anId("t3") })], 200);
    expect(taken.map(({ id, desired }) => [id, desired])).toEqual([
      [before.id, "removed"],
      [anId("t2"), "shutdown"],
      [anId("t3"), "running"],
    ]);
  });

  test("have an id of their own: one that two of them claim is the first one's", () => {
    const other = aTask(web, "t5", { nodeId: n1, state: "running", slot: "5" });
    const both = aView({ nodes: [aNode("n1")], services: [web], tasks: [before, other] });
    const ended = aStatus("t5", { state: "failed", finishedAt: 50 });
    const told = [aSuccessor(), aSuccessor({ predecessor: other.id, ended })];
    const taken = takeUpSuccessors(both, n1, told, 100);
    expect(taken.map(({ id, slot }) => [id, slot])).toEqual([
      [before.id, "2"],
      [anId("t2"), "2"],
    ]);
  });

  test("are one at most for a task, however many are told", () => {
    const told = [aSuccessor(), aSuccessor({ taskId: anId("t3") })];
    const taken = takeUpSuccessors(view, n1, told, 100);
    expect(taken.map(({ id }) => id)).toEqual([before.id, anId("t2")]);
  });
});
