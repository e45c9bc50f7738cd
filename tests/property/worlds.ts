import type { Random } from "../../src/lib/random.ts";
import type { Mount } from "../../src/model/container.ts";
import type { Dependency } from "../../src/model/dependency.ts";
import type { NodeDevice } from "../../src/model/device.ts";
import type { JobRun, JobRuns, Schedule } from "../../src/model/job.ts";
import { isGlobal, isJob, specOf } from "../../src/model/service.ts";
import type { Affinity, Service, ServiceSpec } from "../../src/model/service.ts";
import { slotOfRun } from "../../src/model/slot-name.ts";
import {
  isStaged,
  isTerminal,
  rankOf,
  TASK_STATES,
  type Health,
  type Task,
} from "../../src/model/task.ts";
import type { MemoryView } from "../../src/model/view.ts";
import {
  aContainer,
  aNode,
  aPort,
  aRestart,
  aService,
  aSpec,
  aTask,
  aView,
  anId,
  reserving,
} from "../builders.ts";
import { between, happens, oneOf } from "../sim/chance.ts";

export const NOW = 10_000_000;

const DATA: Mount = {
  type: "volume",
  volume: "data",
  target: "/data",
  readOnly: false,
  noCopy: false,
  external: false,
  driverOptions: {},
  labels: {},
};

/** Any cluster at all: also ones that no sequence of events leads to. */
export function drawWorld(random: Random): MemoryView {
  const nodes = Array.from({ length: between(random, 1, 5) }, (_, i) =>
    aNode(`n${i}`, {
      labels: happens(random, 0.5) ? { zone: oneOf(random, ["north", "south"]) } : {},
      availability: oneOf(random, ["active", "active", "active", "pause", "drain"]),
      health: oneOf(random, ["ready", "ready", "ready", "suspect", "down"]),
      since: NOW - between(random, -1, 12) * 1000,
      platform: { os: "linux", arch: oneOf(random, ["amd64", "amd64", "arm64"]) },
      resources: { cpuMillis: between(random, 1, 4) * 1000, memoryBytes: 2 ** 30 },
      generic: { lora: between(random, 0, 3) },
      devices: ["a", "b"].slice(0, between(random, 0, 2)).map(aSerialPort),
    }),
  );
  const services = Array.from({ length: between(random, 1, 4) }, (_, i) =>
    drawService(random, `s${i}`, i),
  );
  const nodeNames = nodes.map((node) => node.hostname);
  const tasks = services.flatMap((service, i) =>
    Array.from({ length: between(random, 0, 12) }, (_, j) =>
      drawTask(random, service, `t${i}q${j}`, nodeNames),
    ),
  );
  return aView({ nodes, services, tasks: tasks.filter((task) => !isOverStaged(task, tasks)) });
}

/** Whether the task waits for a node where another one is staged: nobody makes a third one then. */
function isOverStaged(task: Task, tasks: readonly Task[]): boolean {
  if (task.state !== "pending") return false;
  return tasks.some((other) => {
    const isOfSlot = other.serviceId === task.serviceId && other.slot === task.slot;
    return isOfSlot && other !== task && (isStaged(other) || isStaged(task));
  });
}

const MODES = [
  "replicated",
  "replicated",
  "replicated",
  "global",
  "replicated-job",
  "global-job",
] as const;

/** @param index services depend on those with lower ones: never in a circle */
function drawService(random: Random, name: string, index: number): Service {
  const mode = oneOf(random, MODES);
  const count = between(random, 1, 3);
  const needs = index > 0 && happens(random, 0.3) ? { dependsOn: [drawNeed(random, index)] } : {};
  const revisions = Array.from({ length: count }, (_, i) => {
    return { revision: count - i, at: 0, spec: { ...drawSpec(random, mode), ...needs } };
  });
  return aService(
    {},
    {
      id: anId(name),
      name,
      revisions,
      templateRevision: between(random, 1, count),
      removing: happens(random, 0.1),
      ...(isJob({ mode }) && happens(random, 0.7) ? { runs: drawRuns(random, count) } : {}),
    },
  );
}

function drawNeed(random: Random, index: number): Dependency {
  return {
    service: `s${between(random, 0, index - 1)}`,
    condition: oneOf(random, ["started", "healthy", "completed"]),
    restart: happens(random, 0.3),
    required: happens(random, 0.7),
  };
}

function drawJob(random: Random): Partial<ServiceSpec> {
  const job = {
    ...(happens(random, 0.5) ? { parallelism: between(random, 1, 3) } : {}),
    ...(happens(random, 0.3) ? { retries: between(random, 0, 3) } : {}),
    ...(happens(random, 0.3) ? { deadlineMs: between(random, 1, 100) * 1000 } : {}),
  };
  if (happens(random, 0.6)) return { job };
  const schedule: Schedule = {
    cron: "*/2 * * * *",
    timeZone: "UTC",
    overlap: oneOf(random, ["allow", "skip", "replace"]),
    missed: oneOf(random, ["once", "skip", "all"]),
    history: between(random, 0, 2),
  };
  return { job, schedule };
}

/** Runs of a job as they may be remembered, right or not. */
function drawRuns(random: Random, revision: number): JobRuns {
  const count = between(random, 1, 3);
  const list = Array.from({ length: count }, (_, i): JobRun => {
    const result = oneOf(random, ["complete", "failed", "replaced", "none yet"] as const);
    const end = result === "none yet" ? {} : { result, finishedAt: NOW - 1000 };
    const startedAt = NOW - between(random, 1, 200) * 1000;
    return {
      run: count - i,
      revision: between(random, 1, revision),
      startedAt,
      message: "",
      ...end,
    };
  });
  return { count, list, skipped: 0 };
}

function drawSpec(random: Random, mode: ServiceSpec["mode"]): ServiceSpec {
  const platform = happens(random, 0.2) ? { platform: "linux/arm64" } : {};
  const constraint = { key: "node.labels.zone", operator: "==", value: "north" } as const;
  const hostPort = aPort({ mode: "host", published: between(random, 8080, 8082) });
  return aSpec({
    mode,
    replicas: isGlobal({ mode }) ? 1 : between(random, 0, 6),
    ...(isJob({ mode }) ? drawJob(random) : {}),
    container: aContainer({ ...platform, mounts: happens(random, 0.2) ? [DATA] : [] }),
    ports: happens(random, 0.2) ? [hostPort] : [],
    resources: drawResources(random),
    placement: {
      ...(happens(random, 0.2) ? { affinity: [drawAffinity(random)] } : {}),
      ...(happens(random, 0.2) ? { strategy: "binpack" as const } : {}),
      constraints: happens(random, 0.2) ? [constraint] : [],
      spread: happens(random, 0.2) ? ["node.labels.zone"] : [],
      maxReplicasPerNode: happens(random, 0.2) ? between(random, 1, 2) : 0,
    },
    restart: aRestart({
      condition: oneOf(random, ["any", "on-failure", "none"]),
      ...(happens(random, 0.3) ? { maxAttempts: between(random, 0, 3) } : {}),
    }),
    disconnect: {
      replaceAfterMs: between(random, 0, 5) * 1000,
      reconcile: oneOf(random, ["keep-original", "keep-replacement", "longest-running"]),
    },
    update: {
      order: oneOf(random, ["stop-first", "start-first"]),
      parallelism: between(random, 0, 3),
      delayMs: between(random, 0, 2) * 5000,
    },
    ...(happens(random, 0.2) && mode === "replicated" ? { drain: drawDrain(random) } : {}),
  });
}

export function aSerialPort(id: string): NodeDevice {
  return { id, kind: "serial", capabilities: [], path: `/dev/${id}`, exclusive: true };
}

function drawDrain(random: Random): ServiceSpec["drain"] {
  const order = oneOf(random, ["stop-first", "start-first"] as const);
  return { parallelism: between(random, 0, 2), ...(happens(random, 0.5) ? { order } : {}) };
}

function drawResources(random: Random): ServiceSpec["resources"] {
  const { limits, reservations } = reserving(between(random, 0, 6) * 100);
  const serial = { capabilities: [["serial"]], count: 1 };
  return {
    limits,
    reservations: {
      ...reservations,
      ...(happens(random, 0.2) ? { generic: { lora: between(random, 1, 2) } } : {}),
      ...(happens(random, 0.1) ? { devices: [serial] } : {}),
    },
  };
}

function drawAffinity(random: Random): Affinity {
  return {
    service: `shop/s${between(random, 0, 3)}`,
    relation: oneOf(random, ["near", "apart"]),
    key: oneOf(random, ["node.id", "node.labels.zone"]),
    required: happens(random, 0.6),
  };
}

const WISHES = ["running", "running", "running", "shutdown", "removed"] as const;

function hasNeeds(service: Service): boolean {
  return specOf(service).dependsOn !== undefined;
}

function drawTask(random: Random, service: Service, name: string, nodes: string[]): Task {
  const states = TASK_STATES.filter((one) => one !== "new" || hasNeeds(service));
  const state = oneOf(random, states);
  const node = oneOf(random, nodes);
  const spec = specOf(service);
  const base = isGlobal(spec) ? anId(node) : String(between(random, 1, spec.replicas + 2));
  const slot = spec.schedule === undefined ? base : slotOfRun(base, between(random, 1, 3));
  const isStaged = !isJob(spec) && rankOf(state) <= rankOf("prepared") && happens(random, 0.3);
  const desired = isStaged ? "prepared" : oneOf(random, WISHES);
  const createdAt = between(random, 0, 1000);
  const startedAt = createdAt + 100;
  const task = aTask(service, name, {
    slot,
    state,
    desired: state === "removed" ? "removed" : desired,
    createdAt,
    startedAt,
    revision: between(random, 1, service.revisions.length),
    nodeId: anId(node),
    failures: between(random, 0, 6),
    health: oneOf<Health>(random, ["none", "none", "healthy", "starting", "unhealthy"]),
  });
  if (isTerminal(state)) return { ...task, finishedAt: between(random, startedAt, NOW) };
  if (state !== "pending" && state !== "new") return task;
  // A task that nobody holds ends in the moment in which that is wished for.
  const { nodeId: _, ...pending } = task;
  return { ...pending, desired: isStaged && state === "pending" ? "prepared" : "running" };
}
