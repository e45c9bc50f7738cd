import { z } from "zod";
import { taskIdSchema } from "../../model/ids.ts";
import { LABELS, type ContainerStatus } from "../driver.ts";
import { killedForMemory } from "./kernel-log.ts";

/** 128 + SIGKILL. */
const KILLED = 137;

const labelsSchema = z.record(z.string(), z.string()).nullish();

/** One row of `GET /libpod/containers/json`: times in whole seconds, no word on memory. */
export const listedSchema = z.object({
  Id: z.string(),
  Labels: labelsSchema,
  State: z.string(),
  StartedAt: z.number(),
  ExitedAt: z.number(),
  ExitCode: z.number(),
  /** 0 for one that does not run. */
  Pid: z.number().default(0),
});
export type Listed = z.infer<typeof listedSchema>;

export const inspectedSchema = z.object({
  Id: z.string(),
  /** The id of its image. */
  Image: z.string().default(""),
  /** The name or the path of what runs it. */
  OCIRuntime: z.string().default(""),
  State: z.object({
    Status: z.string(),
    OOMKilled: z.boolean(),
    ExitCode: z.number(),
    StartedAt: z.string(),
    FinishedAt: z.string(),
    /** Its process, and the one that waits for its end; 0 where there is none. */
    Pid: z.number().default(0),
    ConmonPid: z.number().default(0),
  }),
  Config: z.object({ Labels: labelsSchema, Tty: z.boolean().default(false) }),
  HostConfig: z.object({
    LogConfig: z.object({ Type: z.string(), Path: z.string() }),
    /** The memory limit; 0 for none. */
    Memory: z.number().default(0),
  }),
  NetworkSettings: z
    .object({
      /** Where its network namespace is while it runs. */
      SandboxKey: z.string().default(""),
    })
    .optional(),
});
export type Inspected = z.infer<typeof inspectedSchema>;

/** Podman's own words for what a container does, as orchd's three. */
export function stateOf(status: string): ContainerStatus["state"] {
  switch (status) {
    case "running":
    case "paused":
    case "stopping":
      return "running";
    case "exited":
    case "stopped":
    case "dead":
    case "removing":
      return "exited";
    default:
      return "created";
  }
}

/** What orchd knows of a container; undefined for one whose labels are not as orchd writes them. */
export function statusOf(inspected: Inspected): ContainerStatus | undefined {
  const labels = inspected.Config.Labels ?? {};
  const taskId = taskIdSchema.safeParse(labels[LABELS.task]);
  if (!taskId.success) return undefined;
  const { State } = inspected;
  const state = stateOf(State.Status);
  const startedAt = timeOf(State.StartedAt);
  const finishedAt = timeOf(State.FinishedAt);
  const address = labels[LABELS.address];
  const networkTask = taskIdSchema.safeParse(labels[LABELS.networkTask]).data;
  return {
    taskId: taskId.data,
    containerId: inspected.Id,
    state,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(state !== "exited" ? {} : { exitCode: State.ExitCode }),
    ...(state !== "exited" || finishedAt === undefined ? {} : { finishedAt }),
    ...(state === "exited" && wasOutOfMemory(inspected) ? { outOfMemory: true } : {}),
    ...(address === undefined ? {} : { address }),
    ...(networkTask === undefined ? {} : { networkTask }),
  };
}

function wasOutOfMemory({ Id, State, HostConfig }: Inspected): boolean {
  if (State.OOMKilled) return true;
  return State.ExitCode === KILLED && HostConfig.Memory > 0 && killedForMemory(`libpod-${Id}`);
}

/** Podman writes the year 1 for "never". */
function timeOf(text: string): number | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms;
}
