import { z } from "zod";
import { imagePinSchema } from "./container.ts";
import { nodeIdSchema, serviceIdSchema, taskIdSchema } from "./ids.ts";
import { baseOfSlot } from "./slot-name.ts";

/** In order; a task's state only ever moves to the right. */
export const TASK_STATES = [
  "new",
  "pending",
  "assigned",
  "preparing",
  /** All that it needs is there, its container included: it can start at once. */
  "prepared",
  "starting",
  "running",
  "complete",
  "shutdown",
  "failed",
  "rejected",
  "lost",
  "removed",
] as const;
export const taskStateSchema = z.enum(TASK_STATES);
export type TaskState = z.infer<typeof taskStateSchema>;

/**
 * `prepared` asks for all that comes before a start, while another task still has the slot;
 * `removed` asks for the container to be deleted as well.
 */
export const desiredStateSchema = z.enum(["prepared", "running", "shutdown", "removed"]);
export type DesiredState = z.infer<typeof desiredStateSchema>;

export const healthSchema = z.enum(["none", "starting", "healthy", "unhealthy"]);
export type Health = z.infer<typeof healthSchema>;

const at = z.int();

/** What an agent says of a task; later reports of a state fill in what was not known before. */
export const taskStatusSchema = z.object({
  taskId: taskIdSchema,
  state: taskStateSchema,
  health: healthSchema,
  /** One sentence for people: why it is in this state. Empty when there is nothing to say. */
  message: z.string().max(4096),
  /** When the state was reached, by the node's clock. */
  since: at,
  startedAt: at.optional(),
  finishedAt: at.optional(),
  exitCode: z.int().optional(),
  /** The task's own address on the node's network. */
  address: z.string().max(64).optional(),
  /**
   * Only on its node, and of a task that runs: how its container stands still for a while, which is
   * no end.
   */
  held: z.enum(["stopped", "frozen", "moving"]).optional(),
  /** What the image is that it was made from; said where the assignment did not. */
  image: imagePinSchema.optional(),
  /** Said of `running` alone: its node is about to end it for its health, as `message` says. */
  ending: z.boolean().optional(),
});
export type TaskStatus = z.infer<typeof taskStatusSchema>;

export const taskSchema = z.object({
  id: taskIdSchema,
  serviceId: serviceIdSchema,
  stack: z.string(),
  service: z.string(),
  /** `1`, `2` … or, of a global service, the node's id; with the run of a scheduled job: `1@7`. */
  slot: z.string(),
  revision: z.int().min(1),
  createdAt: at,
  /** Counts the tasks of the slot: the order in which they were made, whatever clocks say. */
  attempt: z.int().min(1),
  /** Failed attempts at this slot in a row before this one: what the backoff grows with. */
  failures: z.int().min(0),
  nodeId: nodeIdSchema.optional(),
  /** Ids of the node's devices that it was given with the node. */
  devices: z.array(z.string().max(255)).max(256).optional(),
  /** Why it is to leave its node, while another node is found for its slot. */
  leave: z.string().max(200).optional(),
  desired: desiredStateSchema,
  /** When it was ready for traffic first, by the server's clock. */
  readyAt: at.optional(),
  ...taskStatusSchema.omit({ taskId: true, image: true, ending: true, held: true }).shape,
  version: z.int(),
});
export type Task = z.infer<typeof taskSchema>;

/** Asked several times for each change of a task: a plain object is read the fastest. */
const RANK = Object.fromEntries(TASK_STATES.map((state, rank) => [state, rank])) as Record<
  TaskState,
  number
>;

export function rankOf(state: TaskState): number {
  return RANK[state];
}

/** Whether the task has ended, however it ended. */
export function isTerminal(state: TaskState): boolean {
  return RANK[state] > RANK.running;
}

/** Whether the task holds its slot: it runs, or will as far as anyone has decided. */
export function isLive(task: Task): boolean {
  return (task.desired === "running" || task.desired === "prepared") && !isTerminal(task.state);
}

/** Whether the task waits for another one to leave its slot. */
export function isStaged(task: Task): boolean {
  return task.desired === "prepared" && !isTerminal(task.state);
}

/** Whether the task may hold resources on its node: it is there and its end is not confirmed. */
export function occupiesNode(task: Task): boolean {
  return task.nodeId !== undefined && !isTerminal(task.state);
}

/** Whether the task should receive traffic. */
export function isReady(task: Task): boolean {
  return task.state === "running" && task.desired === "running" && isFit(task.health);
}

/**
 * The task with the time of the change that made it ready, if this one did.
 * @param now milliseconds since 1970, by this server's clock
 */
export function withReadiness(task: Task, now: number): Task {
  return task.readyAt === undefined && isReady(task) ? { ...task, readyAt: now } : task;
}

/** Since when the task has been ready, as far as is known; undefined for one that never was. */
export function readySince(task: Task): number | undefined {
  return task.readyAt ?? (isReady(task) ? (task.startedAt ?? task.since) : undefined);
}

/** Whether nothing speaks against sending traffic to a task of this health. */
export function isFit(health: Health): boolean {
  return health === "none" || health === "healthy";
}

/** Whether the attempt ended otherwise than asked: what the restart policy counts. */
export function isFailure(state: TaskState): boolean {
  return state === "failed" || state === "rejected" || state === "lost";
}

/**
 * The task with what its agent reports, or the very same object when the report says nothing new.
 * A state that has been left is never entered again, and an ended task only changes to `removed`.
 * Why it was told to end goes on standing where the agent adds nothing.
 */
export function withStatus(task: Task, status: TaskStatus): Task {
  const before = rankOf(task.state);
  const after = rankOf(status.state);
  if (after < before) return task;
  if (isTerminal(task.state) && status.state !== "removed") return task;
  const { taskId: _, image: __, ending: ___, held: ____, ...reported } = status;
  const next: Task = { ...task, ...dropUndefined(reported) };
  const isToldToEnd = !["running", "prepared"].includes(task.desired) && status.message === "";
  if (isToldToEnd || (status.state === "removed" && isTerminal(task.state))) {
    next.message = task.message;
  }
  return sameStatus(task, next) ? task : next;
}

/**
 * The status with times that this server's clock can have seen: a node's own may be years off, and
 * waits are counted from them. Its durations stay as they are.
 * @param now milliseconds since 1970, by this server's clock
 */
export function inServerTime(task: Task, status: TaskStatus, now: number): TaskStatus {
  const { since, startedAt, finishedAt } = status;
  const latest = Math.max(since, startedAt ?? 0, finishedAt ?? 0);
  if (task.createdAt <= latest && latest <= now) return status;
  const isNews = rankOf(status.state) > rankOf(task.state);
  // What is told again keeps the times that it was given first.
  const moved = (at: number, known: number | undefined) =>
    isNews || known === undefined ? at + now - latest : known;
  return {
    ...status,
    since: moved(since, task.since),
    ...(startedAt === undefined ? {} : { startedAt: moved(startedAt, task.startedAt) }),
    ...(finishedAt === undefined ? {} : { finishedAt: moved(finishedAt, task.finishedAt) }),
  };
}

function dropUndefined<T extends object>(value: T): Partial<T> {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}

function sameStatus(a: Task, b: Task): boolean {
  return (
    a.state === b.state &&
    a.health === b.health &&
    a.message === b.message &&
    a.startedAt === b.startedAt &&
    a.finishedAt === b.finishedAt &&
    a.exitCode === b.exitCode &&
    a.address === b.address
  );
}

/** `shop/web.1`: how people name a task; a global service's slot is its node, told by host name. */
export function formatTaskName(task: Task, hostname?: string): string {
  const base = baseOfSlot(task.slot);
  const isNode = base === task.nodeId && hostname !== undefined;
  const slot = isNode ? hostname + task.slot.slice(base.length) : task.slot;
  return `${task.stack}/${task.service}.${slot}`;
}
