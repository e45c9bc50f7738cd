import { describe, expect, test } from "bun:test";
import { HISTORY_PER_SLOT } from "../../../../src/core/reconcile/attempt.ts";
import { planService, wantedTasks } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aNode,
  aPendingTask,
  aRestart,
  aService,
  aTask,
  aView,
  anId,
  type World,
} from "../../../builders.ts";
import { formatPlan } from "../../../plan-text.ts";

/** The plan for the world's first service, as text. */
function plan(world: World, now = 1000): string[] {
  const id = world.services?.[0]?.id ?? anId("none");
  return formatPlan(planService(aView(world), id, now, seededRandom("test")));
}

describe("a replicated service", () => {
  const three = aService({ replicas: 3 });
  const slot = (name: string, n: number, over: Partial<Task> = {}) =>
    aTask(three, name, { slot: String(n), ...over });

  test("that is new gets a task for each slot", () => {
    expect(plan({ services: [three] })).toEqual([
      "create a task in slot 1 of revision 1",
      "create a task in slot 2 of revision 1",
      "create a task in slot 3 of revision 1",
    ]);
  });

  test("whose slots are all held is left alone, whatever state they are in", () => {
    const tasks = [slot("a", 1), slot("b", 2, { state: "starting" }), slot("c", 3)];
    expect(plan({ services: [three], tasks })).toEqual([]);
    const waiting = ["a", "b", "c"].map((name, i) =>
      aPendingTask(three, name, { slot: String(i + 1) }),
    );
    expect(plan({ services: [three], tasks: waiting })).toEqual([]);
  });

  test("that is scaled up keeps what it has", () => {
    expect(plan({ services: [three], tasks: [slot("a", 1), slot("b", 2)] })).toEqual([
      "create a task in slot 3 of revision 1",
    ]);
  });

  test("that is scaled down gives up its highest slots with all that was in them", () => {
    const one = aService({ replicas: 1 });
    const tasks = [
      aTask(one, "a"),
      aTask(one, "b", { slot: "2" }),
      aTask(one, "c", { slot: "3" }),
      aTask(one, "old", { slot: "3", state: "failed" }),
      aPendingTask(one, "wait", { slot: "4" }),
    ];
    expect(plan({ services: [one], tasks })).toEqual([
      "remove b",
      "remove c",
      "remove old",
      "forget wait",
    ]);
  });

  test("that is scaled to 0 ends all its tasks", () => {
    const none = aService({ replicas: 0 });
    expect(plan({ services: [none], tasks: [aTask(none, "a")] })).toEqual(["remove a"]);
  });

  test("asks once only for what it gives up, and forgets it when it is gone", () => {
    const none = aService({ replicas: 0 });
    const asked = aTask(none, "a", { desired: "removed" });
    expect(plan({ services: [none], tasks: [asked] })).toEqual([]);
    const gone = aTask(none, "a", { desired: "removed", state: "removed" });
    expect(plan({ services: [none], tasks: [gone] })).toEqual(["forget a"]);
  });

  test("fills a slot that is wanted again only when the task that left it has ended", () => {
    const one = aService();
    const leaving = aTask(one, "a", { desired: "removed" });
    expect(plan({ services: [one], tasks: [leaving] })).toEqual([]);
    const left = aTask(one, "a", { desired: "removed", state: "shutdown" });
    expect(plan({ services: [one], tasks: [left] })).toEqual([
      "create a task in slot 1 of revision 1",
    ]);
  });

  test("keeps one task where two meet in a slot, a ready one before an older one", () => {
    const tasks = [
      slot("a", 1, { state: "starting" }),
      slot("b", 1, { createdAt: 5 }),
      slot("c", 2),
      slot("d", 3),
    ];
    expect(plan({ services: [three], tasks })).toEqual([
      "stop a: another task on node n1 holds its slot",
    ]);
  });
});

describe("a task that ended", () => {
  const service = aService();
  const failed = (over: Partial<Task> = {}) =>
    aTask(service, "a", { state: "failed", finishedAt: 10_000, ...over });

  test("is followed by the next attempt when its wait is over", () => {
    const world = { services: [service], tasks: [failed({ failures: 2 })] };
    expect(plan(world, 13_999)).toEqual(["look again at 14000"]);
    expect(plan(world, 14_000)).toEqual(["create a task in slot 1 of revision 1 after 3 failures"]);
  });

  test("is followed by nothing when the policy is none", () => {
    const never = aService({ restart: aRestart({ condition: "none" }) });
    expect(plan({ services: [never], tasks: [failed()] }, 10 ** 9)).toEqual([]);
  });

  test("is followed by nothing when it did its work and only failures are restarted", () => {
    const job = aService({ restart: aRestart({ condition: "on-failure" }) });
    expect(plan({ services: [job], tasks: [failed({ state: "complete" })] }, 10 ** 9)).toEqual([]);
  });

  test("does not hold back the first attempt at a new revision", () => {
    const world = {
      services: [{ ...service, templateRevision: 2 }],
      tasks: [failed({ failures: 9 })],
    };
    expect(plan(world, 10_000)).toEqual(["create a task in slot 1 of revision 1"]);
  });

  test(`stays for its logs, with ${HISTORY_PER_SLOT} of its kind at most in a slot`, () => {
    const tasks = [
      ...[1, 2, 3, 4].map((n) => aTask(service, `f${n}`, { state: "failed", createdAt: n })),
      aTask(service, "live", { createdAt: 9 }),
    ];
    expect(plan({ services: [service], tasks })).toEqual([
      "remove f2",
      "remove f1",
      "retire f4",
      "retire f3",
    ]);
  });

  test("is forgotten at once when it never had a node", () => {
    const ended = { state: "shutdown", desired: "shutdown" } as const;
    const tasks = [
      aTask(service, "live", { createdAt: 9 }),
      ...[1, 2, 3].map((n) => aPendingTask(service, `p${n}`, { ...ended, createdAt: n })),
    ];
    expect(plan({ services: [service], tasks })).toEqual(["forget p1"]);
  });
});

describe("a global service", () => {
  const service = aService({ mode: "global" });
  const zone = { key: "node.labels.zone", operator: "==", value: "north" } as const;
  const on = (name: string, node: string, over: Partial<Task> = {}) =>
    aTask(service, name, { slot: anId(node), nodeId: anId(node), ...over });

  test("has a slot on each node that runs an agent, and on no other", () => {
    const nodes = [
      aNode("n2"),
      aNode("n1"),
      aNode("n3", { roles: { server: true, agent: false } }),
    ];
    expect(plan({ nodes, services: [service] })).toEqual([
      "create a task in slot n1 of revision 1",
      "create a task in slot n2 of revision 1",
    ]);
  });

  test("has none on nodes that its constraints exclude", () => {
    const placement = { constraints: [zone], spread: [], maxReplicasPerNode: 0 };
    const north = aService({ mode: "global", placement });
    const nodes = [aNode("n1"), aNode("n2", { labels: { zone: "north" } })];
    expect(plan({ nodes, services: [north] })).toEqual(["create a task in slot n2 of revision 1"]);
    expect(wantedTasks(aView({ nodes, services: [north] }), north)).toBe(1);
  });

  test("leaves a drained node", () => {
    const nodes = [aNode("n1", { availability: "drain" })];
    expect(plan({ nodes, services: [service], tasks: [on("a", "n1")] })).toEqual(["remove a"]);
  });

  test("keeps its task on a node that is paused or away, but begins none there", () => {
    for (const over of [{ availability: "pause" }, { health: "down" }] as const) {
      const nodes = [aNode("n1", over), aNode("n2", over)];
      expect(plan({ nodes, services: [service], tasks: [on("a", "n1")] })).toEqual([]);
    }
  });

  test("comes to a node that joins", () => {
    const nodes = [aNode("n1"), aNode("n2")];
    expect(plan({ nodes, services: [service], tasks: [on("a", "n1")] })).toEqual([
      "create a task in slot n2 of revision 1",
    ]);
  });
});

describe("a service that is being removed", () => {
  const service = aService({ replicas: 3 }, { removing: true });

  test("asks for the end of every task, whatever its state", () => {
    const tasks = [
      aTask(service, "a"),
      aTask(service, "b", { slot: "2", state: "failed" }),
      aPendingTask(service, "c", { slot: "3" }),
    ];
    expect(plan({ services: [service], tasks })).toEqual(["remove a", "remove b", "forget c"]);
    expect(wantedTasks(aView({ services: [service], tasks }), service)).toBe(0);
  });

  test("goes when its last task has gone, not before", () => {
    const last = aTask(service, "a", { desired: "removed" });
    expect(plan({ services: [service], tasks: [last] })).toEqual([]);
    expect(plan({ services: [service] })).toEqual(["delete service web"]);
  });
});

test("a service that is gone needs nothing", () => {
  expect(plan({})).toEqual([]);
});

test("the same view, time and seed give the same plan, down to the ids", () => {
  const view = aView({ services: [aService({ replicas: 5 })] });
  const once = () => planService(view, anId("web"), 1000, seededRandom("s"));
  expect(once()).toEqual(once());
  const other = planService(view, anId("web"), 1000, seededRandom("t"));
  expect(other).not.toEqual(once());
});

test("new tasks of one plan all have ids of their own", () => {
  const view = aView({ services: [aService({ replicas: 500 })] });
  const { actions } = planService(view, anId("web"), 1000, seededRandom("s"));
  const ids = actions.map((action) => (action.type === "createTask" ? action.task.id : ""));
  expect(new Set(ids).size).toBe(500);
});
