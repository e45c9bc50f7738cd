import { z } from "zod";
import { attachmentSchema, ATTACHMENTS_MAX } from "./attachment.ts";
import { autoscalePolicySchema } from "./autoscale.ts";
import { containerSpecSchema, imagePinSchema, resourcesSchema } from "./container.ts";
import { DEPENDENCIES_MAX, dependencySchema } from "./dependency.ts";
import { drainPolicySchema } from "./drain.ts";
import { nodeIdSchema, serviceIdSchema } from "./ids.ts";
import { INGRESS_RULES_MAX, ingressRuleSchema } from "./ingress-rule.ts";
import { jobPolicySchema, jobRunsSchema, scheduleSchema } from "./job.ts";
import { serviceNameSchema, stackNameSchema } from "./names.ts";
import { isUnderWay, rolloutRulesSchema, rolloutSchema, updatePolicySchema } from "./rollout.ts";
import type { UpdatePolicy } from "./rollout.ts";
import { volumeBackupSchema } from "./volume-backup.ts";
import { equalJson } from "../lib/order.ts";

export const REPLICAS_MAX = 10_000;
/** Ports of one service. */
export const PORTS_MAX = 1024;
export const REVISIONS_KEPT = 10;
export const PRIORITY_MIN = -1000;
export const PRIORITY_MAX = 1000;

/** A day: for longer the kernel would have to remember too many clients. */
export const STICKY_MAX_MS = 86_400_000;

const milliseconds = z.int().min(0);

export const restartPolicySchema = z.object({
  condition: z.enum(["none", "on-failure", "any"]),
  /** Wait before the first restart; it doubles at each further one, up to `delayMaxMs`. */
  delayMs: milliseconds,
  delayMaxMs: milliseconds,
  /** A task that ran this long starts the count afresh. */
  resetAfterMs: milliseconds,
  /** Restarts of a slot in a row; absent means no limit. */
  maxAttempts: z.int().min(0).optional(),
  /**
   * A task that ran this long counts as a success, as the Compose Specification has it; 0 leaves it
   * to `resetAfterMs`.
   */
  windowMs: milliseconds,
});
export type RestartPolicy = z.infer<typeof restartPolicySchema>;

export const portSchema = z.object({
  target: z.int().min(1).max(65_535),
  /** Port on the node; 0 lets the cluster pick one when the stack is applied. */
  published: z.int().min(0).max(65_535),
  protocol: z.enum(["tcp", "udp"]),
  /** `ingress`: every node answers for the whole service; `host`: the task's own node only. */
  mode: z.enum(["ingress", "host"]),
  /** Only this address of the node answers; absent means all. */
  hostIp: z.ipv4().optional(),
  name: z.string().max(63).optional(),
});
export type Port = z.infer<typeof portSchema>;

/** The first two are Compose's; the others stand under `x-orchd.constraints`. */
export const CONSTRAINT_OPERATORS = [
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "in",
  "matches",
  "version==",
  "version!=",
  "version<",
  "version<=",
  "version>",
  "version>=",
] as const;

export const constraintSchema = z.object({
  /** `node.hostname`, `node.labels.zone` … */
  key: z.string().max(255),
  operator: z.enum(CONSTRAINT_OPERATORS),
  value: z.string().max(255),
});
export type Constraint = z.infer<typeof constraintSchema>;

/** Where a service's tasks are to be as seen from another's: near to them, or apart from them. */
export const affinitySchema = z.object({
  /** `shop/db`: a service of this or another stack. */
  service: z.string().max(255),
  relation: z.enum(["near", "apart"]),
  /** Nodes with the same value here count as one place: `node.id`, `node.labels.zone` … */
  key: z.string().max(255),
  /** Whether a task waits rather than being placed otherwise. */
  required: z.boolean(),
});
export type Affinity = z.infer<typeof affinitySchema>;

/** Whether tasks go to nodes with much room or, with `binpack`, with little. */
export const STRATEGIES = ["spread", "binpack"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export const placementSchema = z.object({
  /** Absent where the cluster's own holds. */
  strategy: z.enum(STRATEGIES).optional(),
  affinity: z.array(affinitySchema).max(16).optional(),
  constraints: z.array(constraintSchema).max(64),
  /** Nested spread preferences, the outermost first: `node.labels.zone`. */
  spread: z.array(z.string().max(255)).max(16),
  /** 0 means no limit. */
  maxReplicasPerNode: z.int().min(0),
});
export type Placement = z.infer<typeof placementSchema>;

export const disconnectPolicySchema = z.object({
  /** How long a node must have been down before its tasks are replaced. */
  replaceAfterMs: milliseconds,
  /** Which of the two tasks of a slot stays when the node is back. */
  reconcile: z.enum(["keep-original", "keep-replacement", "longest-running"]),
});
export type DisconnectPolicy = z.infer<typeof disconnectPolicySchema>;

export const DISCONNECT_DEFAULT: DisconnectPolicy = {
  replaceAfterMs: 3000,
  reconcile: "keep-original",
};

export const serviceModeSchema = z.enum(["replicated", "global", "replicated-job", "global-job"]);

export const serviceSpecSchema = z.object({
  mode: serviceModeSchema,
  /**
   * Tasks wanted, of a job those that are to complete; always 1 for a global service or job, where
   * each fitting node holds one.
   */
  replicas: z.int().min(0).max(REPLICAS_MAX),
  container: containerSpecSchema,
  resources: resourcesSchema,
  ports: z.array(portSchema).max(PORTS_MAX),
  /**
   * The networks that its tasks are in. None means the default one of the stack, where tasks have
   * a network of their own at all; specs of before networks were known have none.
   */
  networks: z.array(attachmentSchema).max(ATTACHMENTS_MAX).default([]),
  /** Whether its name stands for one address or for those of all tasks; absent means `vip`. */
  endpointMode: z.enum(["vip", "dnsrr"]).optional(),
  /** For how long a client's connections go to the same task, in milliseconds; absent means not. */
  stickyMs: z.int().min(1).max(STICKY_MAX_MS).optional(),
  /** Requests of hosts and paths that every node takes for it; absent means none. */
  ingress: z.array(ingressRuleSchema).max(INGRESS_RULES_MAX).optional(),
  placement: placementSchema,
  restart: restartPolicySchema,
  update: updatePolicySchema,
  /** How a service goes back to an older revision, where that is to be otherwise. */
  rollback: updatePolicySchema.optional(),
  rollout: rolloutRulesSchema.optional(),
  /** How its tasks leave a drained node; absent means as in an update. */
  drain: drainPolicySchema.optional(),
  /** What happens to tasks whose node is down; specs of before this was known have the default. */
  disconnect: disconnectPolicySchema.default(DISCONNECT_DEFAULT),
  /** Replicas that follow what there is to do; absent means that people set them. */
  autoscale: autoscalePolicySchema.optional(),
  /** Its tasks take the room of lower ones where there is no other; absent means 0. */
  priority: z.int().min(PRIORITY_MIN).max(PRIORITY_MAX).optional(),
  /** Whether its tasks are spread anew, one at a time, when a node comes; absent means not. */
  rebalance: z.enum(["gentle"]).optional(),
  /** Labels of the service, never seen by the container. */
  labels: z.record(z.string().max(4096), z.string().max(32_768)),
  /** Grows with each `orchd restart`, so that a restart is a revision like any other. */
  restarts: z.int().min(0),
  /** Only of a job. */
  job: jobPolicySchema.optional(),
  /** When a job runs; one without a schedule runs once for each change of its tasks. */
  schedule: scheduleSchema.optional(),
  /** Services of the same stack that have to be there before the first task is started. */
  dependsOn: z.array(dependencySchema).max(DEPENDENCIES_MAX).optional(),
  /** Backups of its volumes, which their node makes; of no concern to its tasks. */
  backups: z.array(volumeBackupSchema).max(256).optional(),
});
export type ServiceSpec = z.infer<typeof serviceSpecSchema>;

export const revisionSchema = z.object({
  revision: z.int().min(1),
  /** Milliseconds since 1970. */
  at: z.int(),
  spec: serviceSpecSchema,
  /** What its image was when its first task was made ready, by platform: `linux/arm64`. */
  pins: z.record(z.string(), imagePinSchema).optional(),
});
export type Revision = z.infer<typeof revisionSchema>;

export const serviceSchema = z.object({
  id: serviceIdSchema,
  stack: stackNameSchema,
  name: serviceNameSchema,
  /** Newest first; the head is what the service should be. Holds what undo and live tasks need. */
  revisions: z.array(revisionSchema).min(1),
  /** The oldest revision whose tasks still need no replacement under the newest one. */
  templateRevision: z.int().min(1),
  /** Still older revisions of the same template, as after an undo: their tasks stay as well. */
  alike: z.array(z.int()).optional(),
  /** How the newest template is brought to all slots; absent before the first change of it. */
  rollout: rolloutSchema.optional(),
  createdAt: z.int(),
  /** Stands for all its tasks as long as the service lives, whether its spec has a use for it. */
  virtualIp: z.ipv4().optional(),
  /** Slots whose tasks can't move, to the node that holds what ties them. */
  homes: z.record(z.string(), nodeIdSchema).optional(),
  /** Replicas that the autoscaler found right; no revision comes of it. */
  scaledTo: z.int().min(0).max(REPLICAS_MAX).optional(),
  /** What a job remembers of its runs. */
  runs: jobRunsSchema.optional(),
  /** Set by `down`: the service ends when its last task has. */
  removing: z.boolean(),
  version: z.int(),
});
export type Service = z.infer<typeof serviceSchema>;

/** The revision that the service should run. */
export function currentRevision(service: Service): Revision {
  const head = service.revisions[0];
  if (head === undefined) throw new Error(`service ${service.id} has no revision`);
  return head;
}

/** What the service should be. */
export function specOf(service: Service): ServiceSpec {
  return currentRevision(service).spec;
}

/** Tasks that a replicated service wants: by its file, or by the autoscaler within its bounds. */
export function replicasOf(service: Service): number {
  const { replicas, autoscale } = specOf(service);
  if (autoscale === undefined) return replicas;
  return Math.min(Math.max(service.scaledTo ?? replicas, autoscale.min), autoscale.max);
}

/** Whether tasks are to end by themselves, once, rather than to go on. */
export function isJob({ mode }: Pick<ServiceSpec, "mode">): boolean {
  return mode === "replicated-job" || mode === "global-job";
}

/** Whether each fitting node has a slot of its own. */
export function isGlobal({ mode }: Pick<ServiceSpec, "mode">): boolean {
  return mode === "global" || mode === "global-job";
}

/**
 * The restart policy as it acts. A task of a job that ended well is never started again; each one
 * that failed counts, however long it ran; and one slot fails no more often than the whole job may.
 */
export function restartOf({ mode, restart, job }: ServiceSpec): RestartPolicy {
  if (!isJob({ mode })) return restart;
  const limits = [restart.maxAttempts, job?.retries].filter((limit) => limit !== undefined);
  const { maxAttempts: _, ...rest } = restart;
  return {
    ...rest,
    condition: restart.condition === "any" ? "on-failure" : restart.condition,
    windowMs: 0,
    resetAfterMs: Number.MAX_SAFE_INTEGER,
    ...(limits.length === 0 ? {} : { maxAttempts: Math.min(...limits) }),
  };
}

/** The spec that a task was made from, or the current one if that revision is no longer kept. */
export function specAt(service: Service, revision: number): ServiceSpec {
  return service.revisions.find((r) => r.revision === revision)?.spec ?? specOf(service);
}

/**
 * What of a node the tasks depend on, so that they can't go on elsewhere; undefined when they can.
 * Directories of the node (bind mounts) don't count, as in Swarm: they are there, or on all nodes.
 */
export function tieOf({ container }: ServiceSpec): "volume data" | "device" | undefined {
  const hasVolume = container.mounts.some(
    (mount) => mount.type === "volume" && mount.volume !== "",
  );
  if (hasVolume) return "volume data";
  return container.devices.length > 0 ? "device" : undefined;
}

/** What decides between services where there is too little room for both; more is better. */
export function priorityOf(service: Service): number {
  return specOf(service).priority ?? 0;
}

/** Whether a task is given devices of its node. */
export function usesDevices({ container, resources }: ServiceSpec): boolean {
  return container.devices.length > 0 || (resources.reservations.devices ?? []).length > 0;
}

/** Whether tasks of `before` can stay as they are under `after`. */
export function sameTemplate(before: ServiceSpec, after: ServiceSpec): boolean {
  return equalJson(templateOf(before), templateOf(after));
}

/**
 * The part of a spec that a running task carries: a change here needs a new task. Networks and
 * their aliases are not of it: every task has a route to every other, and rules say who may use it.
 * Limits are not either, since runtimes change them under a program that runs, unless it is a job,
 * which may have failed by them.
 */
function templateOf(spec: ServiceSpec) {
  return {
    mode: spec.mode,
    container: spec.container,
    resources: isJob(spec) ? spec.resources : lastingResources(spec),
    ports: spec.ports,
    restarts: spec.restarts,
  };
}

/** What of its resources a task keeps for its life. */
function lastingResources({ resources: { limits, reservations } }: ServiceSpec) {
  return { reservations, cpuSet: limits.cpuSet };
}

/** Whether a task of this revision is as the newest one says, and so needs no replacement. */
export function isOfTemplate(service: Service, revision: number): boolean {
  return revision >= service.templateRevision || service.alike?.includes(revision) === true;
}

/** How slots are replaced now: on the way back by rules of their own, where there are some. */
export function policyInForce(service: Service): UpdatePolicy {
  const { update, rollback } = specOf(service);
  const { rollout } = service;
  if (!isUnderWay(rollout) || rollout.back === undefined) return update;
  const { progressDeadlineMs, order } = update;
  const back = rollback ?? { order, parallelism: 1, delayMs: 0 };
  return progressDeadlineMs === undefined ? back : { progressDeadlineMs, ...back };
}
