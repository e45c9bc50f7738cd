import { describe, expect, test } from "bun:test";
import { planPreemption } from "../../../../src/core/scheduler/preempt.ts";
import { schedule } from "../../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Mount } from "../../../../src/model/container.ts";
import type { Service, ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aContainer, aNode, aPendingTask, aService, aTask, aView } from "../../../builders.ts";
import { anId, reserving, type World } from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

const named = (name: string, cpu: number, priority?: number, spec: Partial<ServiceSpec> = {}) => {
  const rank = priority === undefined ? {} : { priority };
  return aService({ resources: reserving(cpu), ...rank, ...spec }, { id: anId(name), name });
};
const on = (service: Service, name: string, node = "n1", over: Partial<Task> = {}) =>
  aTask(service, name, { slot: name, nodeId: anId(node), ...over });

/** Who is to end for `tasks`, and what these wait for. */
function plan(world: World, tasks: Task[], evictionsMax = 10) {
  const view = aView({ ...world, tasks: [...(world.tasks ?? []), ...tasks] });
  const result = schedule(view, tasks, seededRandom("s"));
  const { evictions, waits, isHeldBack } = planPreemption(view, result, evictionsMax);
  return {
    ends: evictions.map(({ taskId }) => shortId(taskId)),
    reasons: [...new Set(evictions.map(({ reason }) => reason))],
    waits: [...waits].map(([id, message]) => `${shortId(id)} ${message}`),
    isHeldBack,
  };
}

describe("a task that fits nowhere", () => {
  const low = named("low", 1000);
  const high = named("high", 2000, 100);
  const full = ["a", "b", "c", "d"].map((name) => on(low, name));

  test("has room made by as few tasks of lower priority as will do", () => {
    const found = plan({ services: [low, high], tasks: full }, [aPendingTask(high, "h")]);
    expect(found).toEqual({
      ends: ["c", "d"],
      reasons: ["makes room for shop/high.1, which has priority 100"],
      waits: ["h waits until 2 tasks on node n1 have ended"],
      isHeldBack: false,
    });
    const big = named("big", 3000);
    const mixed = [on(big, "big"), on(low, "a")];
    expect(
      plan({ services: [low, big, high], tasks: mixed }, [aPendingTask(high, "h")]).ends,
    ).toEqual(["big"]);
  });

  test("has room made although more than are looked at can never have any", () => {
    const huge = named("huge", 9000, 200);
    const many = Array.from({ length: 40 }, (_, i) => {
      return aPendingTask(huge, `x${i}`, { slot: String(i + 1) });
    });
    const services = [low, high, huge];
    const found = plan({ services, tasks: full }, [...many, aPendingTask(high, "h")]);
    expect(found.ends).toEqual(["c", "d"]);
  });

  test("takes the room of the lowest first, and of the youngest among equals", () => {
    const middle = named("middle", 1000, 50);
    const mixed = [
      on(middle, "m1"),
      on(low, "a", "n1", { createdAt: 5 }),
      on(low, "b"),
      on(middle, "m2"),
    ];
    const need = (cpu: number) => {
      const one = named("high", cpu, 100);
      return plan({ services: [low, middle, one], tasks: mixed }, [aPendingTask(one, "h")]).ends;
    };
    expect([need(1000), need(2000), need(3000)]).toEqual([["a"], ["a", "b"], ["a", "b", "m2"]]);
  });

  test("takes it where the least is lost", () => {
    const middle = named("middle", 2000, 50);
    const nodes = [aNode("n1"), aNode("n2"), aNode("n3", { availability: "pause" })];
    const tasks = [
      ...[on(middle, "m1"), on(middle, "m2")],
      ...["a", "b", "c", "d"].map((name) => on(low, name, "n2")),
      on(low, "e", "n3"),
    ];
    expect(
      plan({ nodes, services: [low, middle, high], tasks }, [aPendingTask(high, "h")]).ends,
    ).toEqual(["c", "d"]);
  });

  test("takes nobody's room where that would not help", () => {
    const huge = named("huge", 5000, 100);
    expect(plan({ services: [low, huge], tasks: full }, [aPendingTask(huge, "h")]).ends).toEqual(
      [],
    );
    const equal = named("equal", 1000);
    expect(plan({ services: [low, equal], tasks: full }, [aPendingTask(equal, "e")]).ends).toEqual(
      [],
    );
    const failing = aPendingTask(high, "h", { failures: 3 });
    expect(plan({ services: [low, high], tasks: full }, [failing]).ends).toEqual([]);
  });

  test("waits for those that are ending already, rather than ending more", () => {
    const tasks = full.map((task, i) => (i < 2 ? { ...task, desired: "shutdown" as const } : task));
    expect(plan({ services: [low, high], tasks }, [aPendingTask(high, "h")])).toMatchObject({
      ends: [],
      waits: ["h waits until 2 tasks on node n1 have ended"],
    });
  });

  test("has room for itself, and another one for the next", () => {
    const tasks = ["1", "2"].map((slot) => aPendingTask(high, `h${slot}`, { slot }));
    expect(plan({ services: [low, high], tasks: full }, tasks).ends.toSorted()).toEqual([
      "a",
      "b",
      "c",
      "d",
    ]);
  });

  test("waits when too many tasks were told to end lately", () => {
    const found = plan({ services: [low, high], tasks: full }, [aPendingTask(high, "h")], 1);
    expect([found.ends, found.isHeldBack]).toEqual([[], true]);
  });

  test("gets a port or a device of the node from a lower one as well", () => {
    const port = { ports: [{ target: 1, published: 80, protocol: "tcp", mode: "host" } as const] };
    const [mine, theirs] = [named("high", 0, 1, port), named("low", 0, undefined, port)];
    const found = plan({ services: [mine, theirs], tasks: [on(theirs, "l")] }, [
      aPendingTask(mine, "h"),
    ]);
    expect(found.ends).toEqual(["l"]);
  });
});

describe("a task is spared", () => {
  const data: Mount = {
    ...{ type: "volume", volume: "data", target: "/data", readOnly: false, noCopy: false },
    ...{ external: false, driverOptions: {}, labels: {} },
  };
  const high = named("high", 4000, 100);
  const endsOf = (victim: Service, one = high) =>
    plan({ services: [victim, one], tasks: [on(victim, "v")] }, [aPendingTask(one, "h")]).ends;

  test("when it can't run elsewhere, unless its own priority says that it may go", () => {
    const container = aContainer({ mounts: [data] });
    expect(endsOf(named("db", 1000, undefined, { container }))).toEqual([]);
    expect(endsOf(named("db", 1000, 0, { container }))).toEqual(["v"]);
    expect(endsOf(named("probe", 1000, undefined, { mode: "global" }))).toEqual([]);
  });

  test("when the one that comes needs it, or what that needs in turn", () => {
    const near = (service: string) => {
      const rule = { service, relation: "near", key: "node.platform.os", required: false } as const;
      const placement = { constraints: [], spread: [], maxReplicasPerNode: 0, affinity: [rule] };
      return { placement };
    };
    const db = named("db", 1000);
    const api = named("api", 0, undefined, near("shop/db"));
    expect(endsOf(db, named("high", 4000, 100, near("shop/db")))).toEqual([]);
    const far = named("high", 4000, 100, near("shop/api"));
    // Nor does one that comes later in the same round take what the first one needs.
    const [other, filler] = [named("other", 2500, 50), named("filler", 1000)];
    const first = named("high", 500, 100, near("shop/db"));
    const services = [db, filler, other, first];
    const tasks = [on(db, "v"), on(db, "w"), on(filler, "x"), on(filler, "y")];
    const waiting = [first, other].map((one) => aPendingTask(one, one.name));
    expect(plan({ services, tasks }, waiting).ends).toEqual(["y"]);
    expect(plan({ services, tasks }, waiting.slice(1)).ends).toHaveLength(3);
    const needs = { service: "db", condition: "healthy", restart: false, required: true } as const;
    expect(endsOf(db, named("high", 4000, 100, { dependsOn: [needs] }))).toEqual([]);
    const world = { services: [db, api, far], tasks: [on(db, "v")] };
    expect(plan(world, [aPendingTask(far, "h")]).ends).toEqual([]);
  });
});

test("room that is about to be free is kept for the higher priority", () => {
  const [low, high] = [named("low", 1000), named("high", 4000, 100)];
  const tasks = [
    on(low, "a", "n1", { desired: "shutdown" }),
    on(low, "b", "n1", { state: "shutdown", desired: "shutdown" }),
  ];
  const waiting = [aPendingTask(low, "next", { slot: "b" }), aPendingTask(high, "h")];
  const view = aView({ services: [low, high], tasks: [...tasks, ...waiting] });
  const messages = (pending: Task[]) =>
    schedule(view, pending, seededRandom("s")).unplaced.map(({ taskId }) => shortId(taskId));
  expect(messages(waiting)).toEqual(["h", "next"]);
  expect(messages(waiting.slice(0, 1))).toEqual([]);
});
