import { describe, expect, test } from "bun:test";
import { planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { DrainPolicy } from "../../../../src/model/drain.ts";
import type { Service, ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aContainer,
  aNode,
  aService,
  aTask,
  aView,
  aVolumeMount,
  anId,
  withNewImage,
} from "../../../builders.ts";
import { formatPlan } from "../../../plan-text.ts";

const why = (node: string) => `node ${node} is drained`;
const on = (service: Service, slot: number, node: string, over: Partial<Task> = {}) =>
  aTask(service, `t${slot}`, { slot: String(slot), nodeId: anId(node), ...over });

interface Case {
  service: Service;
  tasks: Task[];
  /** Those that are drained. */
  drained: string[];
  drainBy?: number;
}

function plan({ service, tasks, drained, drainBy }: Case): string[] {
  const nodes = ["n1", "n2", "n3"].map((name) => {
    const until = drainBy === undefined ? {} : { drainBy };
    return aNode(name, drained.includes(name) ? { availability: "drain", ...until } : {});
  });
  const view = aView({ services: [service], tasks, nodes });
  const { actions } = planService(view, service.id, 10_000, seededRandom("test"));
  return formatPlan({ actions });
}

describe("a service that all its updates replace at once, and stop first", () => {
  const update = { order: "stop-first", parallelism: 0, delayMs: 0 } as const;
  const asking = (drain?: DrainPolicy) =>
    aService({ replicas: 3, update, ...(drain === undefined ? {} : { drain }) });
  const all = (service: Service, over: Partial<Task> = {}) =>
    [1, 2, 3].map((slot) => on(service, slot, "n1", over));
  const stage = (slot: number) => `stage a task in slot ${slot} of revision 1`;

  test("leaves a drained node in the same way", () => {
    const service = asking();
    const drained = ["n1"];
    expect(plan({ service, tasks: all(service), drained })).toEqual([1, 2, 3].map(stage));
  });

  test("leaves it one by one where it asks for that", () => {
    const service = asking({ parallelism: 1 });
    expect(plan({ service, tasks: all(service), drained: ["n1"] })).toEqual([stage(1)]);
  });

  test("waits there for a healthy replacement where it asks for that", () => {
    const service = asking({ order: "start-first" });
    const create = (slot: number) => `create a task in slot ${slot} of revision 1`;
    const drained = ["n1"];
    expect(plan({ service, tasks: all(service), drained })).toEqual([1, 2, 3].map(create));
    const next = (over: Partial<Task>) =>
      aTask(service, "next", { slot: "1", attempt: 2, ...over });
    const [first, ...others] = all(service);
    const tasks = [first, ...others.map((task) => ({ ...task, nodeId: anId("n3") }))] as Task[];
    const elsewhere = { nodeId: anId<"node">("n2") };
    const starting = next({ ...elsewhere, health: "starting" });
    expect(plan({ service, tasks: [...tasks, starting], drained })).toEqual([]);
    const healthy = next({ ...elsewhere, health: "healthy" });
    expect(plan({ service, tasks: [...tasks, healthy], drained })).toEqual([
      `stop t1: ${why("n1")}`,
    ]);
  });

  test("goes on as in an update from one revision to the next", () => {
    const old = asking({ order: "start-first", parallelism: 1 });
    const service = withNewImage(old);
    const staged = [1, 2, 3].map((slot) => `stage a task in slot ${slot} of revision 2`);
    expect(plan({ service, tasks: all(old), drained: ["n1"] })).toEqual(staged);
  });

  test("keeps the others while nobody serves in one", () => {
    const service = asking({ parallelism: 1 });
    const staged = aTask(service, "next", {
      slot: "1",
      attempt: 2,
      nodeId: anId("n2"),
      desired: "prepared",
      state: "prepared",
    });
    const world = { service, tasks: [...all(service), staged], drained: ["n1"] };
    expect(plan(world)).toContain(`stop t1: ${why("n1")}`);
    const gone = all(service).map((task, i) =>
      i === 2 ? { ...task, state: "failed" as const } : task,
    );
    expect(plan({ ...world, tasks: [...gone, staged] })).not.toContain(`stop t1: ${why("n1")}`);
  });
});

describe("tasks with data on drained nodes", () => {
  const tied = (spec: Partial<ServiceSpec> = {}) => {
    const container = aContainer({ mounts: [aVolumeMount("data")] });
    const homes = { "1": anId<"node">("n1"), "2": anId<"node">("n2"), "3": anId<"node">("n3") };
    return aService({ replicas: 3, container, ...spec }, { homes });
  };
  const spread = (service: Service) => [1, 2, 3].map((slot) => on(service, slot, `n${slot}`));

  test("end at once, since nothing can take their place", () => {
    const service = tied();
    const stops = [`stop t1: ${why("n1")}`, `stop t2: ${why("n2")}`];
    expect(plan({ service, tasks: spread(service), drained: ["n1", "n2"] })).toEqual(stops);
  });

  test("end one by one where the service asks for that", () => {
    const service = tied({ drain: { parallelism: 1 } });
    const drained = ["n1", "n2"];
    expect(plan({ service, tasks: spread(service), drained })).toEqual([`stop t1: ${why("n1")}`]);
  });

  test("end one by one also while a new revision replaces all at once", () => {
    const update = { order: "stop-first", parallelism: 0, delayMs: 0 } as const;
    const old = tied({ drain: { parallelism: 1 }, update });
    const container = aContainer({ image: "web:2", mounts: [aVolumeMount("data")] });
    const service = withNewImage(old, { container });
    const actions = plan({ service, tasks: spread(old), drained: ["n1", "n2"] });
    expect(actions.filter((action) => action.startsWith("stop"))).toEqual([
      "stop t1: replaced by revision 2",
    ]);
  });

  test("stay while another one is away, until the deadline", () => {
    const service = tied({ drain: { parallelism: 1 } });
    const [first, ...others] = spread(service);
    const ended = { ...first, state: "shutdown", desired: "shutdown" } as Task;
    const drained = ["n1", "n2"];
    const stops = (actions: string[]) => actions.filter((action) => action.startsWith("stop"));
    const at = (drainBy: number) =>
      stops(plan({ service, tasks: [ended, ...others], drained, drainBy }));
    expect([at(10_001), at(10_000)]).toEqual([[], [`stop t2: ${why("n2")}`]]);
  });

  test("end in their turn when the other one is back and serves", () => {
    const service = tied({ drain: { parallelism: 1 } });
    expect(plan({ service, tasks: spread(service), drained: ["n2"] })).toEqual([
      `stop t2: ${why("n2")}`,
    ]);
  });
});
