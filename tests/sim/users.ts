import type { NodeId } from "../../src/model/ids.ts";
import type { ProbeRole, Probes } from "../../src/model/probe.ts";
import type { Dependency } from "../../src/model/dependency.ts";
import type { Schedule } from "../../src/model/job.ts";
import type { RolloutRules, UpdatePolicy } from "../../src/model/rollout.ts";
import type { Window } from "../../src/model/window.ts";
import {
  currentRevision,
  isGlobal,
  isJob,
  specOf,
  type Service,
  type ServiceSpec,
} from "../../src/model/service.ts";
import type { RolloutOrder } from "../../src/core/reconcile/rollout-orders.ts";
import type { Random } from "../../src/lib/random.ts";
import {
  aContainer,
  aPort,
  aProbe,
  aRestart,
  aSpec,
  aVolumeMount,
  reserving,
} from "../builders.ts";
import { between, happens, oneOf } from "./chance.ts";
import { PORT_OF_ROLE } from "./found-sick.ts";
import type { ServerProcess } from "./server-process.ts";
import type { Disk } from "./simulated-store.ts";

/** What a user did, and how the disk shows that it was done. */
export interface Deed {
  text: string;
  run(server: ServerProcess): Promise<void>;
  isOnDisk(disk: Disk): boolean;
}

const MINUTES_PER_DAY = 24 * 60;
const STACKS = ["shop", "blog"];
/** Each service keeps its mode and its order, so that checkers know what to expect. */
const SERVICES = {
  web: { mode: "replicated", order: "start-first" },
  api: { mode: "replicated", order: "stop-first" },
  db: { mode: "replicated", order: "stop-first" },
  probe: { mode: "global", order: "stop-first" },
  batch: { mode: "replicated-job", order: "stop-first" },
  sweep: { mode: "global-job", order: "stop-first" },
  tick: { mode: "replicated-job", order: "stop-first" },
} as const;
type ServiceName = keyof typeof SERVICES;

/** The services with data, each in a volume of its own. */
const VOLUMES: Partial<Record<ServiceName, string>> = { db: "data", probe: "cache" };

function volumesOf(stack: string, names: readonly ServiceName[]): string[] {
  return names.flatMap((name) => {
    const volume = VOLUMES[name];
    return volume === undefined ? [] : `${stack}_${volume}`;
  });
}

/** What a service waits for, where the same file has it. */
const NEEDS: Partial<Record<ServiceName, readonly [ServiceName, Dependency["condition"]][]>> = {
  web: [
    ["db", "healthy"],
    ["batch", "completed"],
  ],
  batch: [["db", "started"]],
};

/** Programs of jobs: most end well, some only at the second attempt, some never. */
const JOB_PROGRAMS = ["job", "job", "long-job", "stumbling", "crashing"];
const STEADY = ["steady", "steady", "steady"];
const PROGRAMS = [...STEADY, "flaky", "crashing", "job", "broken", "missing", "sickly"];

/** One thing that somebody might do now. */
export function drawDeed(random: Random, disk: Disk): Deed {
  const { view } = disk;
  const services = [...view.services.values()].filter((service) => !service.removing);
  const service = services.length === 0 ? undefined : oneOf(random, services);
  const choice = random.next();
  if (service === undefined || choice < 0.4) return up(random, disk);
  if (choice < 0.65) return scale(service, between(random, 0, 5));
  if (choice < 0.7) return isJob(specOf(service)) ? runJob(service) : restart(service);
  if (choice < 0.78) return order(service, drawOrder(random, service));
  if (choice < 0.8) return undoStack(service.stack);
  if (choice < 0.85) return down(oneOf(random, STACKS), happens(random, 0.5));
  const nodeId = oneOf(random, [...view.nodes.keys()]);
  if (choice > 0.95 && view.nodes.size > 1)
    return setZone(nodeId, oneOf(random, ["north", "south"]));
  const availability = oneOf(random, ["active", "active", "pause", "drain"] as const);
  const own = random.split(`deadline/${nodeId}`);
  const isTimed = availability === "drain" && happens(own, 0.5);
  return setAvailability(nodeId, availability, isTimed ? between(own, 1, 20) * 1000 : undefined);
}

function up(random: Random, disk: Disk): Deed {
  const name = oneOf(random, STACKS);
  const names = (Object.keys(SERVICES) as ServiceName[]).filter(() => happens(random, 0.7));
  const zones = [...disk.view.nodes.values()].map((node) => node.labels["zone"] ?? "");
  const services = Object.fromEntries(
    names.map((s) => [s, { ...drawSpec(random, s, zones, name), ...drawNeeds(random, s, names) }]),
  );
  const prune = happens(random, 0.3);
  return {
    text: `up ${name} ${Object.entries(services).map(formatSpec).join(", ")}`,
    run: async (server) => {
      await server.writes.applyStack(
        name,
        { services, volumes: volumesOf(name, names) },
        { dryRun: false, prune },
      );
    },
    isOnDisk: ({ view }) =>
      names.every((s) => {
        const service = view.serviceNamed(name, s);
        return service && specOf(service).container.image === services[s]?.container.image;
      }),
  };
}

function drawSpec(
  random: Random,
  name: ServiceName,
  zones: readonly string[],
  stack: string,
): ServiceSpec {
  const { mode, order } = SERVICES[name];
  const programs = isJob({ mode }) ? JOB_PROGRAMS : PROGRAMS;
  const image = `${oneOf(random, programs)}:${between(random, 1, 3)}`;
  const condition = oneOf(random, ["any", "any", "on-failure", "none"] as const);
  const limit = happens(random, 0.2) ? { maxAttempts: between(random, 1, 4) } : {};
  const spec = aSpec({
    mode,
    replicas: isGlobal({ mode }) ? 1 : between(random, 0, 4),
    container: aContainer({
      image,
      networkMode: "none",
      stopGraceMs: between(random, 0, 3000),
      mounts: volumesOf(stack, [name]).map(aVolumeMount),
      ...(name === "api" && happens(random, 0.5) ? { platform: "linux/amd64" } : {}),
      ...(isJob({ mode }) || happens(random, 0.5) ? {} : { probes: drawProbes(random) }),
    }),
    resources: drawResources(random, name),
    ports: name === "api" && happens(random, 0.2) ? [hostPortOf(stack)] : [],
    placement: drawPlacement(random, name, zones, stack),
    restart: aRestart({ condition, ...limit }),
    disconnect: {
      replaceAfterMs: between(random, 0, 5) * 1000,
      reconcile: oneOf(random, ["keep-original", "keep-replacement", "longest-running"]),
    },
    update: {
      order,
      parallelism: between(random, 0, 3),
      delayMs: between(random, 0, 2) * 1000,
      ...drawRules(random),
    },
    ...drawCare(random),
    ...drawDrain(random.split(`drain/${stack}/${name}`), mode),
    ...(happens(random, 0.5) ? { priority: between(random, -1, 2) } : {}),
    ...(name === "web" && happens(random, 0.8) ? { rebalance: "gentle" as const } : {}),
    ...(isJob({ mode }) ? drawJob(random, name) : {}),
  });
  return name === "web" ? scalingItself(random.split(`scale/${stack}`), spec) : spec;
}

/**
 * The same, at times with as many tasks as there is to do. As many as it may have find room, and
 * its program runs in the end.
 */
function scalingItself(random: Random, spec: ServiceSpec): ServiceSpec {
  if (happens(random, 0.3)) return spec;
  const min = between(random, 1, 2);
  const max = min + between(random, 0, 3);
  const up = { windowMs: between(random, 0, 2) * 10_000, step: between(random, 0, 2) };
  const down = { windowMs: between(random, 1, 4) * 15_000, step: between(random, 0, 2) };
  const { affinity: _, ...placement } = spec.placement;
  const image = spec.container.image.replace(/^.*:/, oneOf(random, ["steady:", "flaky:"]));
  return {
    ...spec,
    container: { ...spec.container, image },
    replicas: Math.min(Math.max(spec.replicas, min), max),
    autoscale: { min, max, cpuPercent: oneOf(random, [50, 70, 150]), up, down },
    resources: reserving(0),
    placement: { ...placement, maxReplicasPerNode: 0 },
  };
}

/** A program that is sick fails all of them. */
function drawProbes(random: Random): Probes {
  const draw = (role: ProbeRole) =>
    aProbe({
      check: { type: "tcp", port: PORT_OF_ROLE[role] },
      intervalMs: between(random, 5, 30) * 100,
      failures: between(random, 1, 3),
      startPeriodMs: between(random, 0, 1) * 25_000,
    });
  const startup = happens(random, 0.3) ? { startup: { ...draw("startup"), failures: 30 } } : {};
  return oneOf<Probes>(random, [
    { ...startup, ready: draw("ready") },
    { ...startup, live: draw("live") },
    { ...startup, ready: draw("ready"), live: draw("live") },
    { ...startup, healthcheck: { disabled: false, ...draw("healthcheck") } },
  ]);
}

function drawRules(random: Random): Partial<UpdatePolicy> {
  return {
    monitorMs: between(random, 0, 4) * 1000,
    failureAction: oneOf(random, ["pause", "continue", "rollback", "rollback"]),
    maxFailureRatio: oneOf(random, [0, 0, 0.3]),
    progressDeadlineMs: oneOf(random, [0, 20_000, 600_000]),
  };
}

function drawCare(random: Random): { rollout?: RolloutRules } {
  const canary = { amount: 1, unit: "tasks" } as const;
  const promote = oneOf(random, ["auto", "auto", "manual"] as const);
  const rules: RolloutRules = {
    ...(happens(random, 0.1) ? { canary, promote } : {}),
    ...(happens(random, 0.05) ? { lock: true } : {}),
    ...(happens(random, 0.1) ? { windows: drawWindows(random) } : {}),
  };
  return Object.keys(rules).length === 0 ? {} : { rollout: rules };
}

function drawDrain(random: Random, mode: ServiceSpec["mode"]): Pick<ServiceSpec, "drain"> {
  if (mode !== "replicated" || happens(random, 0.5)) return {};
  return { drain: { parallelism: between(random, 0, 2) } };
}

/** As many as there may be, evenly over the day, so that each run sees some open and close. */
function drawWindows(random: Random): Window[] {
  const [everyMinutes, openMinutes] = [24, between(random, 2, 20)];
  const first = between(random, 0, everyMinutes - 1);
  return Array.from({ length: MINUTES_PER_DAY / everyMinutes }, (_, i): Window => {
    const from = first + i * everyMinutes;
    const to = (from + openMinutes) % MINUTES_PER_DAY || MINUTES_PER_DAY;
    return { days: [0, 1, 2, 3, 4, 5, 6], from, to, timeZone: "UTC" };
  });
}

/** Each stack has a port of its own, so that both fit on one node. */
function hostPortOf(stack: string) {
  return aPort({ mode: "host", published: 8080 + STACKS.indexOf(stack) });
}

/** What nodes have little of: `api` needs a radio, and `db` a serial port for itself. */
function drawResources(random: Random, name: ServiceName): ServiceSpec["resources"] {
  const { limits, reservations } = reserving(
    between(random, 0, 4) * 100,
    between(random, 0, 4) * 2 ** 20,
  );
  const serial = { capabilities: [["serial"]], count: 1 };
  const generic = name === "api" && happens(random, 0.5) ? { generic: { lora: 1 } } : {};
  const devices = name === "db" && happens(random, 0.4) ? { devices: [serial] } : {};
  return { limits, reservations: { ...reservations, ...generic, ...devices } };
}

function drawPlacement(
  random: Random,
  name: ServiceName,
  zones: readonly string[],
  stack: string,
): ServiceSpec["placement"] {
  const key = "node.labels.zone";
  const zone = oneOf(random, zones);
  const constraint = oneOf(random, [
    { key, operator: "==", value: zone },
    { key, operator: "in", value: `nowhere, ${zone}` },
    { key, operator: "matches", value: `${zone.slice(0, 2)}*` },
  ] as const);
  const rule = {
    service: `${stack}/${oneOf(random, ["api", "web"])}`,
    relation: oneOf(random, ["near", "apart"] as const),
    key: oneOf(random, ["node.id", key]),
    required: happens(random, 0.7),
  };
  return {
    constraints: happens(random, 0.2) ? [constraint] : [],
    spread: [],
    // A new task beside the old one takes its place.
    maxReplicasPerNode: happens(random, 0.1) ? 2 : 0,
    ...(name === "web" && happens(random, 0.3) ? { affinity: [rule] } : {}),
  };
}

function drawJob(random: Random, name: ServiceName): Partial<ServiceSpec> {
  const job = {
    ...(happens(random, 0.5) ? { parallelism: between(random, 1, 3) } : {}),
    ...(happens(random, 0.3) ? { retries: between(random, 0, 4) } : {}),
    ...(happens(random, 0.2) ? { deadlineMs: between(random, 10, 90) * 1000 } : {}),
  };
  if (name !== "tick") return { job };
  const schedule: Schedule = {
    cron: "* * * * *",
    timeZone: "UTC",
    overlap: oneOf(random, ["allow", "skip", "replace"]),
    missed: oneOf(random, ["once", "skip", "all"]),
    history: between(random, 0, 2),
  };
  return { replicas: between(random, 1, 2), job, schedule };
}

function drawNeeds(
  random: Random,
  name: ServiceName,
  names: readonly ServiceName[],
): Pick<ServiceSpec, "dependsOn"> {
  const there = (NEEDS[name] ?? []).filter(([service]) => names.includes(service));
  const chosen = there.filter(() => happens(random, 0.5));
  if (chosen.length === 0) return {};
  const dependsOn = chosen.map(([service, condition]) => ({
    service,
    condition,
    restart: happens(random, 0.3),
    required: happens(random, 0.8),
  }));
  return { dependsOn };
}

function formatSpec([name, { container, replicas }]: [string, ServiceSpec]): string {
  return `${name}=${replicas}x${container.image}`;
}

export function scale(service: Service, replicas: number): Deed {
  if (isGlobal(specOf(service))) return restart(service);
  return {
    text: `scale ${service.stack}/${service.name}=${replicas}`,
    run: (server) => server.writes.scale(new Map([[service.id, replicas]])),
    isOnDisk: ({ view }) => {
      const now = view.services.get(service.id);
      return now !== undefined && specOf(now).replicas === replicas;
    },
  };
}

export function restart(service: Service): Deed {
  const { restarts } = specOf(service);
  return {
    text: `restart ${service.stack}/${service.name}`,
    run: (server) => server.writes.restart(service.id),
    isOnDisk: ({ view }) => {
      const now = view.services.get(service.id);
      return now !== undefined && specOf(now).restarts > restarts;
    },
  };
}

function drawOrder(random: Random, service: Service): RolloutOrder {
  const kept = service.revisions.map(({ revision }) => revision);
  const to = happens(random, 0.5) ? oneOf(random, kept) : undefined;
  return oneOf<RolloutOrder>(random, [
    { type: "pause" },
    { type: "resume", unlock: happens(random, 0.5) },
    { type: "promote" },
    { type: "undo", to },
  ]);
}

/** Whether it took effect shows in what follows: others may have ordered something else since. */
export function order(service: Service, what: RolloutOrder): Deed {
  return {
    text: `rollout of ${service.stack}/${service.name} ${JSON.stringify(what)}`,
    run: (server) => server.writes.orderRollout(service.id, what),
    isOnDisk: ({ view }) => {
      const after = view.services.get(service.id);
      if (after === undefined || what.type !== "undo") return true;
      return currentRevision(after).revision > currentRevision(service).revision;
    },
  };
}

function undoStack(name: string): Deed {
  return {
    text: `undo of stack ${name}`,
    run: async (server) => void (await server.writes.undoStack(name, undefined)),
    isOnDisk: () => true,
  };
}

/** Another run of a job, by hand. */
export function runJob(service: Service): Deed {
  const count = service.runs?.count ?? 0;
  return {
    text: `run ${service.stack}/${service.name}`,
    run: async (server) => void (await server.writes.runJob(service.id)),
    isOnDisk: ({ view }) => (view.services.get(service.id)?.runs?.count ?? 0) > count,
  };
}

export function down(name: string, volumes: boolean): Deed {
  return {
    text: `down ${name}${volumes ? " with its volumes" : ""}`,
    run: (server) => server.writes.removeStack(name, { volumes }),
    isOnDisk: ({ view }) => view.stacks.get(name)?.removing !== false,
  };
}

type Availability = "active" | "pause" | "drain";

export function setAvailability(
  nodeId: NodeId,
  availability: Availability,
  deadlineMs?: number,
): Deed {
  return {
    text: `node ${nodeId} ${availability} ${deadlineMs ?? ""}`,
    run: (server) => server.writes.setAvailability(nodeId, availability, deadlineMs),
    isOnDisk: ({ view }) => view.nodes.get(nodeId)?.availability === availability,
  };
}

export function setZone(nodeId: NodeId, zone: string): Deed {
  return {
    text: `node ${nodeId} is in zone ${zone}`,
    run: (server) => server.writes.setLabels(nodeId, { set: { zone }, remove: [] }),
    isOnDisk: ({ view }) => view.nodes.get(nodeId)?.labels["zone"] === zone,
  };
}
