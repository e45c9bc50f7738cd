import { describe, expect, test } from "bun:test";
import { orderRollout } from "../../../../src/core/reconcile/rollout-orders.ts";
import { Patience } from "../../../../src/core/reconcile/rollout-patience.ts";
import { planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { revise } from "../../../../src/model/revise.ts";
import type { Rollout } from "../../../../src/model/rollout.ts";
import { currentRevision, specOf, type Service } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aContainer, aNode, anId, aService, aTask, aView, type World } from "../../../builders.ts";
import { formatPlan } from "../../../plan-text.ts";

const NOW = 1_000_000;
const withImage = (service: Service, image: string, tasks: readonly Task[]) =>
  revise(service, { ...specOf(service), container: aContainer({ image }) }, NOW, tasks);
const plan = (world: World & { service: Service }, now = NOW) => {
  const view = aView({ ...world, services: [world.service] });
  return formatPlan(planService(view, world.service.id, now, seededRandom("test")));
};
const goOn = (service: Service, over: Partial<Rollout>): Service => {
  if (service.rollout === undefined) throw new Error("nothing is rolled out");
  return { ...service, rollout: { ...service.rollout, ...over } };
};

describe("a node that is away while its service is rolled out", () => {
  const before = aService({ mode: "global" });
  const on = (name: string, over: Partial<Task> = {}) =>
    aTask(before, `old-${name}`, { slot: anId(name), nodeId: anId(name), ...over });
  const old = [on("n1"), on("n2")];
  const service = withImage(before, "web:2", old);
  const young = aTask(service, "new-n1", { slot: anId("n1"), attempt: 2, readyAt: NOW - 9000 });
  const away = [aNode("n1"), aNode("n2", { health: "down" })];
  const ended = on("n1", { desired: "shutdown", state: "shutdown" });

  test("is deferred: its task is left alone, and the rollout is completed without it", () => {
    expect(plan({ service, nodes: away, tasks: [ended, young, on("n2")] })).toEqual([
      "note that rollout 1 -> 2 is completed",
    ]);
  });

  test("catches up in its turn when it is back", () => {
    const done = goOn(service, { state: "completed" });
    const nodes = [aNode("n1"), aNode("n2")];
    expect(plan({ service: done, nodes, tasks: [ended, young, on("n2")] })).toEqual([
      "stage a task in slot n2 of revision 2",
    ]);
  });

  test("never catches up to a revision that was rolled back meanwhile", () => {
    const result = orderRollout(
      aView({ services: [service], tasks: [ended, young, on("n2")], nodes: away }),
      service,
      { type: "undo" },
      NOW,
    );
    if ("problem" in result) throw new Error(result.problem);
    const back = goOn(result.service, { state: "rolled-back" });
    const restored = aTask(back, "restored", { slot: anId("n1"), attempt: 3, revision: 3 });
    const nodes = [aNode("n1"), aNode("n2")];
    expect(plan({ service: back, nodes, tasks: [restored, on("n2")] })).toEqual([]);
  });
});

describe("a change that needs no new task", () => {
  const before = aService({ replicas: 2 });
  const tasks = [aTask(before, "a"), aTask(before, "b", { slot: "2" })];
  const placement = { spread: [], maxReplicasPerNode: 0 };
  const holds = { key: "node.hostname", operator: "==", value: "n1" } as const;
  const changes = [
    { labels: { owner: "shop" } },
    { update: { order: "start-first", parallelism: 0, delayMs: 0 } as const },
    { placement: { ...placement, constraints: [holds] } },
    { rollout: { canary: { amount: 1, unit: "tasks" } as const, lock: true } },
  ];
  for (const change of changes) {
    test(`starts none: ${Object.keys(change).join(", ")}`, () => {
      const after = revise(before, { ...specOf(before), ...change }, NOW, tasks);
      expect([currentRevision(after).revision, after.rollout]).toEqual([2, undefined]);
      expect(plan({ service: after, tasks })).toEqual([]);
    });
  }
});

describe("a rollout that waits for its window", () => {
  const DAY = 86_400_000;
  // Time 0 is midnight, on a Thursday.
  const windows = [{ days: [4], from: 60, to: 120, timeZone: "UTC" }];
  const before = aService({ rollout: { windows } });
  const tasks = [aTask(before, "a", { startedAt: 0, readyAt: 0 })];
  const next = withImage(before, "web:2", tasks);
  const waits = goOn(next, {
    state: "waiting-for-window",
    message: "no new slot begins outside Thu 01:00-02:00 UTC",
  });
  const lookAt = (now: number) => plan({ service: waits, tasks }, now);
  const minute = (count: number) => count * 60_000;

  test("goes on waiting when the clock is set to the same time of another day, either way", () => {
    for (const now of [DAY, -DAY, 0].map((day) => minute(30) + day)) {
      expect(lookAt(now)).toEqual([`look again at ${now + minute(1)}`]);
    }
  });

  test("begins by the clock as it is now, and by no other day's window", () => {
    for (const now of [DAY, -DAY].map((day) => minute(90) + day)) {
      expect(lookAt(now)).toEqual([`look again at ${now + minute(1)}`]);
    }
    expect(lookAt(minute(90))).toContain("stage a task in slot 1 of revision 2");
    expect(lookAt(minute(90) + 7 * DAY)).toEqual(lookAt(minute(90)));
  });
});

test("canaries that are more than there are tasks are all of them, and wait all the same", () => {
  const canary = { amount: 5, unit: "tasks" } as const;
  const before = aService({ replicas: 2, rollout: { canary } });
  const old = ["1", "2"].map((slot) => aTask(before, `old${slot}`, { slot, readyAt: 0 }));
  const service = withImage(before, "web:2", old);
  const view = aView({ services: [service], tasks: old });
  const { actions } = planService(view, service.id, NOW, seededRandom("test"));
  const written = actions.flatMap((one) => (one.type === "updateService" ? one.service : []));
  expect(written.map(({ rollout }) => rollout?.canaries)).toEqual([["1", "2"]]);
  const ready = goOn(service, { canaries: ["1", "2"] });
  const young = ["1", "2"].map((slot) => {
    return aTask(ready, `new${slot}`, { slot, attempt: 2, readyAt: NOW - 60_000 });
  });
  const told = "`orchd rollout promote` goes on, `orchd rollout undo` back";
  expect(plan({ service: ready, tasks: young })).toEqual([
    `note that rollout 1 -> 2 is canary: 2 canaries ready: ${told}`,
  ]);
});

describe("patience", () => {
  const before = aService({ replicas: 2 });
  const old = [aTask(before, "a"), aTask(before, "b", { slot: "2" })];
  const service = withImage(before, "web:2", old);
  const young = (over: Partial<Task>) => aTask(service, "new", { createdAt: 9, ...over });
  const look = (patience: Patience, now: number, over: Partial<Task> = { state: "preparing" }) => {
    const view = aView({ services: [service], tasks: [...old, young(over)] });
    return patience.look(view, service.id, now);
  };

  test("counts while nothing gets further, and begins anew at each step", () => {
    const patience = new Patience();
    expect([look(patience, 0), look(patience, 60_000), look(patience, 90_000)]).toEqual([
      0, 60_000, 90_000,
    ]);
    expect(look(patience, 95_000, { state: "starting" })).toBe(0);
    expect(look(patience, 99_000, { state: "starting" })).toBe(4000);
  });

  test("does not take an attempt that failed, or failed again, for a step", () => {
    const patience = new Patience();
    look(patience, 0, { state: "starting" });
    expect(look(patience, 1000, { state: "failed" })).toBe(1000);
    expect(look(patience, 2000, { state: "starting" })).toBe(2000);
  });

  test("counts little of a clock that is set, in either direction", () => {
    const patience = new Patience();
    const day = 86_400_000;
    expect([look(patience, 0), look(patience, day), look(patience, -day)]).toEqual([
      0, 90_000, 90_000,
    ]);
    expect(look(patience, 1000 - day)).toBe(91_000);
  });

  test("counts nothing where nothing is rolled out", () => {
    const patience = new Patience();
    const view = aView({ services: [before], tasks: old });
    expect([patience.look(view, before.id, 0), patience.look(view, before.id, 9999)]).toEqual([
      0, 0,
    ]);
  });
});
