import { describe, expect, test } from "bun:test";
import { planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { ServiceSpec } from "../../../../src/model/service.ts";
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
import { formatPlan, shortId } from "../../../plan-text.ts";

type Update = Partial<ServiceSpec["update"]>;

const before = aService({ replicas: 4 });
/** The same service with a new image, replaced as `update` says. */
function updated(update: Update = {}, spec: Partial<ServiceSpec> = {}) {
  const policy = { order: "stop-first", parallelism: 1, delayMs: 0, ...update } as const;
  return withNewImage(before, { update: policy, ...spec });
}
const old = (slot: number, over: Partial<Task> = {}) =>
  aTask(before, `old${slot}`, { slot: String(slot), ...over });
const young = (slot: number, over: Partial<Task> = {}) =>
  aTask(withNewImage(before), `new${slot}`, { slot: String(slot), createdAt: 10, ...over });
const all = (make: (slot: number) => Task) => [1, 2, 3, 4].map(make);

function plan(service: ReturnType<typeof updated>, tasks: Task[], now = 10_000): string[] {
  const view = aView({ services: [service], tasks });
  return formatPlan(planService(view, service.id, now, seededRandom("test")));
}

const stop = (slot: number) => `stop old${slot}: replaced by revision 2`;
const stage = (slot: number) => `stage a task in slot ${slot} of revision 2`;
const create = (slot: number) => `create a task in slot ${slot} of revision 2`;

describe("stop-first", () => {
  test("makes the first slot's new task ready beside the old one, and leaves the others", () => {
    expect(plan(updated(), all(old))).toEqual([stage(1)]);
  });

  test("ends the old task when the new one has all but its slot", () => {
    const staged = (over: Partial<Task>) => young(1, { desired: "prepared", ...over });
    const is = (over: Partial<Task>) => plan(updated(), [...all(old), staged(over)]);
    expect(is({ state: "pending", message: "no node fits" })).toEqual([]);
    expect(is({ state: "preparing" })).toEqual([]);
    expect(is({ state: "prepared" })).toEqual([stop(1)]);
  });

  test("starts the new task when the old one has ended, and not before", () => {
    const staged = young(1, { desired: "prepared", state: "prepared" });
    const others = [old(2), old(3), old(4)];
    const ending = old(1, { desired: "shutdown" });
    expect(plan(updated(), [ending, staged, ...others])).toEqual([]);
    const ended = old(1, { desired: "shutdown", state: "shutdown" });
    expect(plan(updated(), [ended, staged, ...others])).toEqual(["start new1"]);
  });

  test("starts it at once where the old task ended by itself, however far it is", () => {
    const staged = young(1, { desired: "prepared", state: "preparing" });
    const crashed = old(1, { state: "failed", finishedAt: 9_000 });
    const tasks = [crashed, staged, old(2), old(3), old(4)];
    expect(plan(updated(), tasks)).toEqual(["start new1", "retire old1"]);
  });

  test("keeps the old task when the new one can't be made ready", () => {
    const rejected = young(1, { desired: "prepared", state: "rejected", finishedAt: 10_000 });
    expect(plan(updated(), [...all(old), rejected])).toEqual(["look again at 11000"]);
    const again = plan(updated(), [...all(old), rejected], 11_000);
    expect(again).toEqual([`${stage(1)} after 1 failures`]);
  });

  test("waits while the old task ends, then fills its slot", () => {
    const others = [old(2), old(3), old(4)];
    expect(plan(updated(), [old(1, { desired: "shutdown" }), ...others])).toEqual([]);
    const ended = old(1, { desired: "shutdown", state: "shutdown" });
    expect(plan(updated(), [ended, ...others])).toEqual([create(1)]);
  });

  test("turns to the next slot once the new task is ready", () => {
    const others = [old(2), old(3), old(4)];
    expect(plan(updated(), [young(1, { state: "starting" }), ...others])).toEqual([]);
    expect(plan(updated(), [young(1, { health: "starting" }), ...others])).toEqual([]);
    expect(plan(updated(), [young(1), ...others])).toEqual([stage(2)]);
  });

  test("has nothing left to do when every slot is current", () => {
    expect(plan(updated(), all(young))).toEqual([]);
  });
});

describe("start-first", () => {
  const service = updated({ order: "start-first" });

  test("makes the new task beside the old one", () => {
    expect(plan(service, all(old))).toEqual([create(1)]);
  });

  test("keeps the old task until the new one is ready", () => {
    expect(plan(service, [...all(old), aPendingTask(service, "p", { createdAt: 10 })])).toEqual([]);
    expect(plan(service, [...all(old), young(1, { health: "starting" })])).toEqual([]);
    expect(plan(service, [...all(old), young(1)])).toEqual([stop(1)]);
  });

  test("waits until the old task has ended before the next slot's turn", () => {
    const tasks = [old(1, { desired: "shutdown" }), young(1), old(2), old(3), old(4)];
    expect(plan(service, tasks)).toEqual([create(2)]);
  });

  test("tries again, with growing waits, beside the old task when the new one fails", () => {
    const failed = young(1, { state: "failed", finishedAt: 10_000, failures: 1 });
    expect(plan(service, [...all(old), failed], 11_999)).toEqual(["look again at 12000"]);
    expect(plan(service, [...all(old), failed], 12_000)).toEqual([`${create(1)} after 2 failures`]);
  });
});

describe("parallelism", () => {
  test("is the number of slots that are replaced at once", () => {
    expect(plan(updated({ parallelism: 2 }), all(old))).toEqual([stage(1), stage(2)]);
    expect(plan(updated({ parallelism: 9 }), all(old))).toEqual([1, 2, 3, 4].map(stage));
  });

  test("of 0 means all of them", () => {
    expect(plan(updated({ parallelism: 0 }), all(old))).toEqual([1, 2, 3, 4].map(stage));
    const startFirst = updated({ parallelism: 0, order: "start-first" });
    expect(plan(startFirst, all(old))).toEqual([1, 2, 3, 4].map(create));
  });

  test("counts slots that are still on their way", () => {
    const tasks = [young(1, { state: "starting" }), old(2), old(3), old(4)];
    expect(plan(updated({ parallelism: 2 }), tasks)).toEqual([stage(2)]);
  });
});

describe("the delay", () => {
  const service = updated({ delayMs: 5000 });

  test("counts from the start of the new task, before the next slot's turn", () => {
    const tasks = [young(1, { startedAt: 8000 }), old(2), old(3), old(4)];
    expect(plan(service, tasks, 12_999)).toEqual(["look again at 13000"]);
    expect(plan(service, tasks, 13_000)).toEqual([stage(2)]);
  });

  test("matters no more when the last slot is done", () => {
    expect(
      plan(
        service,
        all((slot) => young(slot, { startedAt: 9000 })),
      ),
    ).toEqual([]);
  });
});

describe("an outdated task that is not ready", () => {
  test("serves nobody and goes at once, whatever the parallelism", () => {
    const tasks = [old(1), old(2, { state: "preparing" }), old(3, { health: "unhealthy" }), old(4)];
    expect(plan(updated(), tasks)).toEqual([stop(2), stop(3)]);
  });

  test("goes at once when it still waits for a node", () => {
    const waiting = aPendingTask(before, "old1");
    expect(plan(updated(), [waiting, old(2), old(3), old(4)])).toEqual([stop(1)]);
  });
});

describe("a revision that fails", () => {
  test("never takes down more ready tasks than the parallelism", () => {
    const failed = young(1, { state: "failed", finishedAt: 10_000, failures: 4 });
    const tasks = [failed, old(2), old(3), old(4)];
    expect(plan(updated(), tasks)).toEqual(["look again at 26000"]);
    expect(plan(updated(), tasks, 26_000)).toEqual([`${create(1)} after 5 failures`]);
  });

  test("stops the rollout for good when its attempts are used up", () => {
    const policy = { restart: aRestart({ maxAttempts: 2 }) };
    const failed = young(1, { state: "failed", finishedAt: 10_000, failures: 2 });
    expect(plan(updated({}, policy), [failed, old(2), old(3), old(4)], 10 ** 9)).toEqual([]);
    const startFirst = updated({ order: "start-first" }, policy);
    expect(plan(startFirst, [...all(old), failed], 10 ** 9)).toEqual([]);
  });

  test("waits for a slot that crashed by itself before it touches the next one", () => {
    const crashed = young(2, { state: "failed", finishedAt: 9_500, failures: 0 });
    expect(plan(updated(), [young(1), crashed, old(3), old(4)])).toEqual(["look again at 10500"]);
  });
});

describe("a new task that did its work", () => {
  const restart = aRestart({ condition: "on-failure" });
  const done = young(1, { state: "complete", finishedAt: 9_000 });

  test("counts as done, and the rollout goes on", () => {
    expect(plan(updated({}, { restart }), [done, old(2), old(3), old(4)])).toEqual([stage(2)]);
  });

  test("has taken its slot over from the old one", () => {
    const startFirst = updated({ order: "start-first" }, { restart });
    expect(plan(startFirst, [done, ...all(old)])).toEqual([stop(1)]);
  });
});

describe("a third revision", () => {
  const stopNew = "stop new1: replaced by revision 3";

  test("ends what the second began and leaves ready tasks of the first", () => {
    const tasks = [young(1, { state: "starting" }), old(2), old(3), old(4)];
    expect(plan(withNewImage(updated()), tasks)).toEqual([stopNew]);
  });

  test("ends what the second began beside a ready task of the first", () => {
    const third = withNewImage(updated({ order: "start-first", parallelism: 1 }));
    const tasks = [...all(old), young(1, { state: "starting" })];
    expect(plan(third, tasks)).toEqual([stopNew, "create a task in slot 1 of revision 3"]);
  });

  test("leaves one of two ready tasks in a slot, until its own is ready", () => {
    const third = withNewImage(updated({ order: "start-first" }));
    expect(plan(third, [...all(old), young(1)])).toEqual([
      stopNew,
      "create a task in slot 1 of revision 3",
    ]);
  });
});

test("slots that are new and wait for a place do not hold up those that may give it", () => {
  const waiting = (slot: number) =>
    aPendingTask(withNewImage(before), `new${slot}`, { slot: String(slot), message: "no room" });
  expect(plan(updated(), [old(1), old(2), waiting(3), waiting(4)])).toEqual([stage(1)]);
});

describe("a drained node with a deadline", () => {
  const service = aService({
    replicas: 2,
    update: { order: "start-first", parallelism: 1, delayMs: 0 },
  });
  const tasks = [1, 2].map((slot) => aTask(service, `t${slot}`, { slot: String(slot) }));
  const planAt = (now: number, drainBy?: number) => {
    const until = drainBy === undefined ? {} : { drainBy };
    const nodes = [aNode("n1", { availability: "drain", ...until }), aNode("n2")];
    const view = aView({ services: [service], tasks, nodes });
    return planService(view, service.id, now, seededRandom("test"));
  };

  test("is left slot by slot until then, and looked at again at its end", () => {
    expect(formatPlan(planAt(10_000))).toEqual(["create a task in slot 1 of revision 1"]);
    const plan = planAt(10_000, 60_000);
    expect(plan.wakeAt).toBe(60_000);
    expect(plan.actions).toHaveLength(1);
  });

  test("is left by everything at its end, replaced or not", () => {
    const why = "node n1 is drained";
    expect(formatPlan(planAt(60_000, 60_000))).toEqual([`stop t1: ${why}`, `stop t2: ${why}`]);
  });

  test("is left at its end by what waits for another service to go on elsewhere", () => {
    const db = aService({}, { id: anId("db"), name: "db" });
    const need = { service: "db", condition: "started", restart: false, required: true } as const;
    const waiting = withNewImage(service, { dependsOn: [need] });
    const plansAt = (now: number) => {
      const nodes = [aNode("n1", { availability: "drain", drainBy: 60_000 }), aNode("n2")];
      const view = aView({ services: [db, waiting], tasks, nodes });
      const { actions } = planService(view, waiting.id, now, seededRandom("test"));
      return actions.flatMap((one) => (one.type === "stopTask" ? shortId(one.taskId) : []));
    };
    expect([plansAt(59_999), plansAt(60_000)]).toEqual([[], ["t1", "t2"]]);
  });
});
