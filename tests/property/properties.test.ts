import { describe, expect, test } from "bun:test";
import { changesOf } from "../../src/core/reconcile/plan.ts";
import { isConverged, planService } from "../../src/core/reconcile/service.ts";
import { candidateOf } from "../../src/core/scheduler/candidate.ts";
import { refusalOf } from "../../src/core/scheduler/filters.ts";
import { loadOf } from "../../src/core/scheduler/load.ts";
import { planPreemption } from "../../src/core/scheduler/preempt.ts";
import { schedule, type Placement } from "../../src/core/scheduler/schedule.ts";
import { newId } from "../../src/lib/ids.ts";
import { seededRandom, systemRandom } from "../../src/lib/random.ts";
import { put } from "../../src/model/change.ts";
import type { Dependency } from "../../src/model/dependency.ts";
import { canMove } from "../../src/model/home.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { Node } from "../../src/model/node.ts";
import { isJob, priorityOf, specOf } from "../../src/model/service.ts";
import type { Service, ServiceSpec } from "../../src/model/service.ts";
import { isLive, rankOf, TASK_STATES, withStatus, type Task } from "../../src/model/task.ts";
import type { MemoryView } from "../../src/model/view.ts";
import { aNode, aPendingTask, aRestart, aService, aStatus } from "../builders.ts";
import { lintPlan } from "../plan-linter.ts";
import { between, oneOf } from "../sim/chance.ts";
import { liveOn } from "./live-on.ts";
import { aSerialPort, drawWorld, NOW } from "./worlds.ts";

const fresh = process.env["SEED"] ?? newId<"seed">(systemRandom);
console.log(`fresh seed: ${fresh} (again: SEED=${fresh})`);
const WORLDS = 300;
/** Worlds that showed a mistake once. */
const KNOWN = [
  "prop 436",
  "prop 6707",
  "prop 8660",
  "prop 29737",
  "j12p3rw8snmd 150",
  "wide28 11",
  "wide51 271",
];
const seeds = [
  ...KNOWN,
  ...Array.from({ length: WORLDS }, (_, i) => `fixed ${i}`),
  ...Array.from({ length: WORLDS }, (_, i) => `${fresh} ${i}`),
];

/** What is wrong in all generated worlds, each with its seed. */
function problemsIn(check: (view: MemoryView, seed: string) => string[]): string[] {
  return seeds.flatMap((seed) => {
    const view = drawWorld(seededRandom(seed));
    return check(view, seed).map((problem) => `seed ${seed}: ${problem}`);
  });
}

describe("whatever a cluster looks like", () => {
  test("every plan is clean", () => {
    const problems = problemsIn((view, seed) =>
      [...view.services.values()].flatMap((service) => {
        const plan = planService(view, service.id, NOW, seededRandom(seed));
        return lintPlan(view, service, plan, NOW).map((problem) => `${service.name} ${problem}`);
      }),
    );
    expect(problems).toEqual([]);
  });

  test("a plan that was carried out leaves nothing to do at the same time", () => {
    const problems = problemsIn((view, seed) => {
      const random = seededRandom(seed);
      // What asks nobody follows from what did: a task that ended at once may be forgotten, and
      // a service whose last task was forgotten lets the next one go.
      for (let round = 0; round < 12; round++) {
        for (const id of [...view.services.keys()]) {
          const { actions } = planService(view, id, NOW, random.split(`${id}/${round}`));
          view.apply(changesOf(view, actions, NOW), view.version + 1);
        }
      }
      return [...view.services.keys()].flatMap((id) =>
        planService(view, id, NOW, random).actions.map((action) => `${id} ${action.type}`),
      );
    });
    expect(problems).toEqual([]);
  });

  test("a task is placed only where nothing speaks against it, and no node is overfilled", () => {
    const problems = problemsIn((view, seed) => {
      const pending = [...view.tasks.values()].filter((t) => t.state === "pending" && isLive(t));
      const { placements, unplaced } = schedule(view, pending, seededRandom(seed));
      const found = placements.flatMap((placement) => place(view, placement));
      const isComplete = placements.length + unplaced.length === pending.length;
      return isComplete ? found : [...found, "a task was left out"];
    });
    expect(problems).toEqual([]);
  });

  test("a task is left without a node only where every node refuses it", () => {
    const problems = problemsIn((view, seed) => {
      const pending = [...view.tasks.values()].filter((t) => t.state === "pending" && isLive(t));
      const { placements, unplaced } = schedule(view, pending, seededRandom(seed));
      for (const placement of placements) place(view, placement);
      return unplaced.flatMap(({ taskId }) => {
        const fitting = [...view.nodes.keys()].filter(
          (id) => refusal(view, taskId, id) === undefined,
        );
        return fitting.length === 0 ? [] : [`${taskId} would fit on ${fitting.join(", ")}`];
      });
    });
    expect(problems).toEqual([]);
  });
});

describe("whatever the priorities are", () => {
  test("tasks end for a higher one that fits then, and for no other reason", () => {
    let ended = 0;
    const problems = problemsIn((view, seed) => {
      drawPriorities(view, seed);
      const pending = [...view.tasks.values()].filter((t) => t.state === "pending" && isLive(t));
      const result = schedule(view, pending, seededRandom(seed));
      const { evictions, waits } = planPreemption(view, result, 100);
      ended += evictions.length;
      for (const placement of result.placements) place(view, placement);
      const highest = Math.max(...[...waits.keys()].map((id) => priorityOfTask(view, id)));
      const found = evictions.flatMap(({ taskId }) => {
        const task = view.tasks.get(taskId);
        if (task === undefined || !isLive(task)) return [`${taskId} can't be told to end`];
        return priorityOfTask(view, taskId) < highest ? [] : [`${taskId} ends for a lower one`];
      });
      for (const { taskId } of evictions) end(view, taskId);
      for (const task of [...view.tasks.values()]) if (!isLive(task)) end(view, task.id);
      const stuck = [...waits.keys()].filter((id) =>
        [...view.nodes.keys()].every((nodeId) => refusal(view, id, nodeId) !== undefined),
      );
      return [...found, ...stuck.map((id) => `${id} fits nowhere all the same`)];
    });
    expect(problems).toEqual([]);
    expect(ended).toBeGreaterThan(10);
  });

  test("nobody is told to end where nobody waits, or all are equal", () => {
    const problems = problemsIn((view, seed) => {
      const pending = [...view.tasks.values()].filter((t) => t.state === "pending" && isLive(t));
      const result = schedule(view, pending, seededRandom(seed));
      return planPreemption(view, result, 100).evictions.map(({ taskId }) => taskId);
    });
    expect(problems).toEqual([]);
  });
});

/** Gives each service a priority and one task more, and nodes hardly more room than is taken. */
function drawPriorities(view: MemoryView, seed: string): void {
  const random = seededRandom(`${seed}/priorities`);
  const nodes = [...view.nodes.values()].map((node) => {
    const cpuMillis = loadOf(view, node.id).cpuMillis + between(random, 0, 3) * 100;
    const platform = { os: "linux", arch: "arm64" };
    return put.node({ ...node, platform, resources: { cpuMillis, memoryBytes: 2 ** 40 } });
  });
  const services = [...view.services.values()].map((service) => {
    const priority = between(random, -2, 2);
    const revisions = service.revisions.map(({ spec, ...rest }) => {
      return { ...rest, spec: { ...spec, priority } };
    });
    return put.service({ ...service, revisions });
  });
  const more = [...view.services.values()].map((service, i) => {
    const [node] = view.nodes.keys();
    const slot = specOf(service).mode === "global" && node !== undefined ? node : "99";
    return put.task(aPendingTask(service, `more${i}`, { slot }));
  });
  view.apply([...nodes, ...services, ...more], view.version + 1);
}

function priorityOfTask(view: MemoryView, id: Task["id"]): number {
  const task = view.tasks.get(id);
  const service = task && view.services.get(task.serviceId);
  return service === undefined ? Number.NaN : priorityOf(service);
}

function end(view: MemoryView, id: Task["id"]): void {
  const task = view.tasks.get(id);
  if (task === undefined) return;
  view.apply([put.task({ ...task, desired: "shutdown", state: "shutdown" })], view.version + 1);
}

test("no sequence of reports moves a task's state back", () => {
  const random = seededRandom(fresh);
  for (let run = 0; run < 500; run++) {
    let task: Task = { ...taskOf(random.next()), state: "assigned" };
    for (let i = 0; i < 20; i++) {
      const next = withStatus(task, aStatus("t", { state: oneOf(random, TASK_STATES), since: i }));
      expect(rankOf(next.state)).toBeGreaterThanOrEqual(rankOf(task.state));
      task = next;
    }
  }
});

describe("a cluster with room, whose programs run, becomes what was asked for", () => {
  test("from any state, within as many rounds as its slots need", () => {
    const problems = problemsIn((view, seed) => {
      makeRoom(view);
      return liveUntilConverged(view, seed, () => true);
    });
    expect(problems).toEqual([]);
  });

  test("while a node is down, but for what waits for it; and again when it is back", () => {
    const problems = problemsIn((view, seed) => {
      const [first] = view.nodes.values();
      if (first === undefined || view.nodes.size < 2) return [];
      makeRoom(view);
      setHealth(view, first.id, "down", NOW - 1000);
      const without = liveUntilConverged(view, seed, canGoOn);
      setHealth(view, first.id, "ready", NOW);
      return [...without, ...liveUntilConverged(view, seed, () => true)];
    });
    expect(problems).toEqual([]);
  });
});

/** Whether no node that is down holds the service back, or one that it waits for. */
function canGoOn(service: Service): boolean {
  return canMove(service) && (specOf(service).dependsOn ?? []).length === 0;
}

/** What is wrong after as many rounds as could be needed, with the services that matter. */
function liveUntilConverged(
  view: MemoryView,
  seed: string,
  matters: (service: Service) => boolean,
): string[] {
  const random = seededRandom(seed);
  const slots = [...view.services.values()].reduce((sum, s) => sum + specOf(s).replicas, 0);
  const roundsMax = 20 + 6 * (slots + view.nodes.size * view.services.size);
  const left = () => [...view.services.values()].filter((s) => matters(s) && !isConverged(view, s));
  for (let round = 0; round < roundsMax; round++) {
    const problem = liveOn(view, NOW + round * 400_000, random.split(`${view.version}/${round}`));
    if (problem !== undefined) return [problem];
    if (left().length === 0) return [];
  }
  return left().map((service) => `${service.name} has not converged`);
}

function setHealth(view: MemoryView, id: NodeId, health: Node["health"], since: number): void {
  const node = view.nodes.get(id);
  if (node === undefined) return;
  view.apply([put.node({ ...node, health, since })], view.version + 1);
}

/** Why the node can't have the task, as the view stands. */
function refusal(view: MemoryView, taskId: Task["id"], nodeId: string): string | undefined {
  const task = view.tasks.get(taskId);
  const node = [...view.nodes.values()].find(({ id }) => id === nodeId);
  const service = task && view.services.get(task.serviceId);
  if (task === undefined || node === undefined || service === undefined) return "is not there";
  return refusalOf(candidateOf(view, service, task), node, loadOf(view, node.id));
}

/** Puts the task on the node; answers what speaks against it there. */
function place(view: MemoryView, { taskId, nodeId, devices }: Placement): string[] {
  const task = view.tasks.get(taskId);
  const reason = refusal(view, taskId, nodeId);
  if (task !== undefined) {
    const gift = devices === undefined ? {} : { devices };
    view.apply([put.task({ ...task, ...gift, nodeId, state: "assigned" })], view.version + 1);
  }
  return reason === undefined ? [] : [`${taskId} is on ${nodeId}, which ${reason}`];
}

/** Takes away what keeps tasks from running for good. */
function makeRoom(view: MemoryView): void {
  const nodes = [...view.nodes.values()].map((node) => {
    const { hostname } = node;
    const platform = { os: "linux", arch: "arm64" };
    const labels = { zone: "north" };
    return put.node(
      aNode(hostname, {
        labels,
        platform,
        resources: { cpuMillis: 10 ** 6, memoryBytes: 2 ** 40 },
        generic: { lora: 1000 },
        devices: Array.from({ length: 200 }, (_, i) => aSerialPort(`port${i}`)),
      }),
    );
  });
  const isJobNamed = (name: string) => {
    const service = view.serviceNamed("shop", name);
    return service !== undefined && isJob(specOf(service));
  };
  const services = [...view.services.values()].map(({ runs, ...service }) =>
    put.service({
      ...service,
      // A job that failed does not go on by itself.
      ...(runs === undefined || runs.list[0]?.result === "failed" ? {} : { runs }),
      revisions: service.revisions.map(({ spec, ...rest }) => {
        const { affinity: _affinity, ...rules } = spec.placement;
        const placement = { ...rules, maxReplicasPerNode: 0 };
        const dependsOn = (spec.dependsOn ?? []).map((one): Dependency => {
          const isNever = one.condition === "completed" && !isJobNamed(one.service);
          return { ...one, required: false, condition: isNever ? "healthy" : one.condition };
        });
        // A round is longer than the schedule's: each run would replace the one before it.
        const schedule = spec.schedule && { ...spec.schedule, overlap: "skip" as const };
        const again = schedule === undefined ? {} : { schedule };
        const roomy = { ports: [], placement, restart: aRestart(), dependsOn, ...again };
        return { ...rest, spec: { ...withoutLimits(spec), ...roomy } };
      }),
    }),
  );
  view.apply([...nodes, ...services], view.version + 1);
}

/** A job without limits fails only where each of its tasks does. */
function withoutLimits(spec: ServiceSpec): ServiceSpec {
  const { job: _job, ...rest } = spec;
  return rest;
}

function taskOf(draw: number): Task {
  const service = aService();
  return {
    id: newId<"task">(seededRandom(String(draw))),
    serviceId: service.id,
    stack: "shop",
    service: "web",
    slot: String(between(seededRandom(String(draw)), 1, 9)),
    revision: 1,
    createdAt: 0,
    attempt: 1,
    failures: 0,
    desired: "running",
    state: "pending",
    health: "none",
    message: "",
    since: 0,
    version: 0,
  };
}
