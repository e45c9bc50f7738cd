import { z } from "zod";
import { nodeSchema } from "./node.ts";
import { portSchema } from "./service.ts";
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

export const serviceSummarySchema = z.object({
  id: z.string(),
  stack: z.string(),
  name: z.string(),
  mode: z.enum(["replicated", "global"]),
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
  /** Whether everything is as the newest revision says and nothing is left to stop. */
  converged: z.boolean(),
  /** Why it has not converged, in one sentence: the message of its worst task, if that has one. */
  message: z.string(),
  /** Failed attempts since the newest revision was made. */
  failures: z.int(),
  updatedAt: z.int(),
});
export type ServiceSummary = z.infer<typeof serviceSummarySchema>;

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
