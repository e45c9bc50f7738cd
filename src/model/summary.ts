import { z } from "zod";
import { nodeSchema } from "./node.ts";
import { jobRunSchema } from "./job.ts";
import { rolloutSchema } from "./rollout.ts";
import { portSchema, serviceModeSchema } from "./service.ts";
import { appliedSetSchema } from "./stack.ts";
import { desiredStateSchema, healthSchema, taskStateSchema } from "./task.ts";

/** The stable shapes in which the API, and `--json`, show the cluster. Times: ms since 1970. */

export const stackSummarySchema = z.object({
  name: z.string(),
  services: z.int(),
  tasksWanted: z.int(),
  tasksReady: z.int(),
  /** `running` when all that is wanted is ready, `converging` on the way, `removing` at the end. */
  state: z.enum(["running", "converging", "removing"]),
  createdAt: z.int(),
  updatedAt: z.int(),
});
export type StackSummary = z.infer<typeof stackSummarySchema>;

/** A rollout as far as a list of services tells of it. */
export const rolloutBriefSchema = rolloutSchema.pick({
  state: true,
  from: true,
  to: true,
  back: true,
  locked: true,
  message: true,
});
/** How far one run of a job is. */
export const jobRunSummarySchema = jobRunSchema.extend({
  /** Tasks that are to complete, and those that have. */
  wanted: z.int(),
  completed: z.int(),
  /** Tasks that have not ended. */
  active: z.int(),
  /** Tasks that failed. */
  failures: z.int(),
});
export type JobRunSummary = z.infer<typeof jobRunSummarySchema>;

export const jobSummarySchema = z.object({
  /** The newest first. */
  runs: z.array(jobRunSummarySchema),
  /** Such as `0 3 * * *`; absent where it runs when it is changed. */
  cron: z.string().optional(),
  timeZone: z.string().optional(),
  /** The next time of the schedule. */
  nextAt: z.int().optional(),
  /** The latest time of the schedule that has passed, with a run or without. */
  lastAt: z.int().optional(),
  /** Times of the schedule that had no run. */
  skipped: z.int(),
  lastSkip: z.object({ at: z.int(), reason: z.string() }).optional(),
});
export type JobSummary = z.infer<typeof jobSummarySchema>;

export const serviceSummarySchema = z.object({
  id: z.string(),
  stack: z.string(),
  name: z.string(),
  mode: serviceModeSchema,
  image: z.string(),
  revision: z.int(),
  /** Tasks wanted: the replicas, or one for each fitting node. */
  wanted: z.int(),
  /** Tasks of the current revision that run, ready or not. */
  running: z.int(),
  /** Tasks that are ready for traffic, of any revision. */
  ready: z.int(),
  /** Tasks of an older revision that are still there. */
  outdated: z.int(),
  ports: z.array(portSchema),
  /** Where people find it by `x-orchd.ingress`; absent where they do not. */
  urls: z.array(z.string()).optional(),
  /** Whether everything is as the newest revision says and nothing is left to stop. */
  converged: z.boolean(),
  /** Why it has not converged, in one sentence: the message of its worst task, if that has one. */
  message: z.string(),
  /** Failed attempts since the newest revision was made. */
  failures: z.int(),
  /** The latest change of what its tasks are made of, under way or over. */
  rollout: rolloutBriefSchema.optional(),
  /** Only of a job. */
  job: jobSummarySchema.optional(),
  updatedAt: z.int(),
});
export type ServiceSummary = z.infer<typeof serviceSummarySchema>;

/** How far a service is on its way to its newest template. */
export const rolloutSummarySchema = z.object({
  stack: z.string(),
  name: z.string(),
  /** `none` before the first change. */
  state: z.enum(["none", ...rolloutSchema.shape.state.options]),
  /** The service's newest revision. */
  revision: z.int(),
  from: z.int().optional(),
  to: z.int().optional(),
  startedAt: z.int().optional(),
  finishedAt: z.int().optional(),
  /** Slots that the service wants, and those that are ready at the newest template. */
  slots: z.int(),
  done: z.int(),
  /** Slots whose new task failed, as people name them. */
  failed: z.array(z.string()),
  /** Slots that wait for a node which is away, and catch up when it is back. */
  deferred: z.array(z.string()),
  /** Slots that stay at an older revision for now. */
  held: z.array(z.string()),
  canaries: z.array(z.string()),
  message: z.string(),
});
export type RolloutSummary = z.infer<typeof rolloutSummarySchema>;

/** One revision of a service that is kept. */
export const revisionSummarySchema = z.object({
  revision: z.int(),
  at: z.int(),
  image: z.string(),
  /** What its image was found to be, by platform: `linux/amd64`. */
  pins: z.record(z.string(), z.string()),
  current: z.boolean(),
  /** Tasks of it that are there. */
  tasks: z.int(),
  /** What it changed, for people. */
  change: z.string(),
});
export type RevisionSummary = z.infer<typeof revisionSummarySchema>;

/** What a stack was made to be once. */
export const appliedSetSummarySchema = appliedSetSchema.extend({ current: z.boolean() });
export type AppliedSetSummary = z.infer<typeof appliedSetSummarySchema>;

export const rolloutOrderSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("pause") }),
  z.object({ type: z.literal("resume"), unlock: z.boolean().default(false) }),
  z.object({ type: z.literal("promote") }),
  z.object({ type: z.literal("undo"), to: z.int().min(1).optional() }),
]);

/** As a client sends it. */
export type RolloutOrder = z.input<typeof rolloutOrderSchema>;

export const stackUndoSchema = z.object({ to: z.int().min(1).optional() });

export const taskSummarySchema = z.object({
  id: z.string(),
  /** `shop/web.1` */
  name: z.string(),
  stack: z.string(),
  service: z.string(),
  slot: z.string(),
  revision: z.int(),
  image: z.string(),
  nodeId: z.string().optional(),
  /** Host name of the node. */
  node: z.string().optional(),
  desired: desiredStateSchema,
  state: taskStateSchema,
  health: healthSchema,
  /** Whether it gets traffic: it is ready, and its node is there. */
  ready: z.boolean(),
  message: z.string(),
  address: z.string().optional(),
  ports: z.array(portSchema),
  /** Where people find it by `x-orchd.ingress`; absent where they do not. */
  urls: z.array(z.string()).optional(),
  exitCode: z.int().optional(),
  failures: z.int(),
  createdAt: z.int(),
  since: z.int(),
  startedAt: z.int().optional(),
  finishedAt: z.int().optional(),
});
export type TaskSummary = z.infer<typeof taskSummarySchema>;

export const nodeSummarySchema = nodeSchema.extend({
  tasks: z.int(),
  /** What its tasks reserve. */
  reserved: z.object({
    cpuMillis: z.int(),
    memoryBytes: z.int(),
    /** Of what people gave a name; absent where nothing is. */
    generic: z.record(z.string(), z.int()).optional(),
  }),
});
export type NodeSummary = z.infer<typeof nodeSummarySchema>;

/** What `node inspect` shows: the node, why its health is what it is, and what it holds. */
export const nodeInspectionSchema = nodeSummarySchema.extend({
  reason: z.string(),
  holds: z.array(taskSummarySchema),
});
export type NodeInspection = z.infer<typeof nodeInspectionSchema>;

/** One line of what `up` will do, or has done. */
export const planLineSchema = z.object({
  action: z.enum(["create", "update", "replace", "scale", "remove", "keep"]),
  /** `shop/web` */
  service: z.string(),
  /** What changes, for people: `image a:1 -> a:2, replicas 2 -> 4`. */
  detail: z.string(),
});
export type PlanLine = z.infer<typeof planLineSchema>;

export const applyResultSchema = z.object({
  stack: z.string(),
  plan: z.array(planLineSchema),
  /** Services that are no longer in the file; they stay unless `prune` was asked for. */
  orphans: z.array(z.string()),
});
export type ApplyResult = z.infer<typeof applyResultSchema>;

/** How far a stack is: sent at each change, the last one with `converged`. */
export const progressSchema = z.object({
  stack: z.string(),
  services: z.array(serviceSummarySchema),
  converged: z.boolean(),
  /** Set when the stack is gone: the end of `down`. */
  removed: z.boolean(),
});
export type Progress = z.infer<typeof progressSchema>;

export const explanationSchema = z.object({
  kind: z.enum(["node", "service", "task"]),
  id: z.string(),
  name: z.string(),
  /** The answer in one sentence. */
  summary: z.string(),
  /** Facts behind it, in the order in which people ask for them. */
  facts: z.array(z.object({ label: z.string(), value: z.string() })),
  /** Where it could run and where not, and why not. */
  placement: z.array(z.object({ node: z.string(), fits: z.boolean(), reason: z.string() })),
  /** What happened to it lately, newest first. */
  history: z.array(
    z.object({ at: z.int(), name: z.string(), state: z.string(), message: z.string() }),
  ),
  /** What happens next, and when, or what a person should do. */
  next: z.string(),
});
export type Explanation = z.infer<typeof explanationSchema>;

export const scaleRequestSchema = z.object({
  /** Service, as `stack/name` or a `name` that only one stack has, to its wanted replicas. */
  services: z.record(z.string().max(255), z.int().min(0)),
});

/** The answer to the wish for a run of a job. */
export const startedRunSchema = z.object({
  stack: z.string(),
  service: z.string(),
  /** Its number among the runs of the service. */
  run: z.int(),
});
export type StartedRun = z.infer<typeof startedRunSchema>;

export const versionInfoSchema = z.object({
  version: z.string(),
  commit: z.string(),
  /** Version of the API. */
  api: z.literal("v1"),
});
export type VersionInfo = z.infer<typeof versionInfoSchema>;

/** A line of a task's log, as `GET /v1/logs` streams it. */
export const taskLogLineSchema = z.object({
  task: z.string(),
  at: z.int(),
  stream: z.enum(["stdout", "stderr"]),
  text: z.string(),
});
export type TaskLogLine = z.infer<typeof taskLogLineSchema>;

/** The body of every answer that is not a success. */
export const problemSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), details: z.array(z.string()) }),
});
