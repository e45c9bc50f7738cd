import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import { jsonDepthOf } from "../lib/json-depth.ts";
import { assignmentSchema } from "../model/assignment.ts";
import { volumeMountSchema } from "../model/container.ts";
import { HAPPENINGS_MAX, happeningSchema } from "../model/event.ts";
import { taskIdSchema } from "../model/ids.ts";
import { networkChangeSchema } from "../model/network-change.ts";
import { contentRefSchema } from "../model/item.ts";
import { nodeFactsSchema } from "../model/node.ts";
import { execOptionsSchema, logOptionsSchema } from "../model/session.ts";
import { SUCCESSORS_MAX, successorSchema } from "../model/successor.ts";
import { taskStatusSchema } from "../model/task.ts";
import { upgradeOrderSchema } from "../model/upgrade.ts";
import { consistencySchema } from "../model/volume.ts";

/** The version of everything in this folder that travels. */
export const PROTOCOL = 1;

/**
 * The longest text frame that an agent takes, in characters. Sets come in parts far below it; only
 * a single assignment may be as large.
 */
export const TEXT_DOWN_MAX = 16 * 1024 * 1024;
/** The longest that a server takes. Batches of statuses are cut far below it. */
export const TEXT_UP_MAX = 1024 * 1024;
const DEPTH_MAX = 64;

const count = z.int().min(0);
const volumeName = z.string().min(1).max(255);
const streamId = z.int().min(1).max(0xffff_ffff);
const grant = z.object({ type: z.literal("grant"), stream: streamId, bytes: z.int().min(1) });

/** What a server wants done on a node; each call is a stream of its own. */
export const callSchema = z.discriminatedUnion("method", [
  z.object({ method: z.literal("logs"), taskId: taskIdSchema, options: logOptionsSchema }),
  z.object({ method: z.literal("exec"), taskId: taskIdSchema, options: execOptionsSchema }),
  z.object({ method: z.literal("images") }),
  z.object({
    method: z.literal("fetchImages"),
    references: z.array(z.string().max(512)).max(10_000),
  }),
  z.object({
    method: z.literal("pruneImages"),
    keep: z.array(z.string().max(512)).max(100_000),
  }),
  z.object({ method: z.literal("removeVolumes"), names: z.array(z.string().max(255)) }),
  z.object({ method: z.literal("lackedContents"), refs: z.array(contentRefSchema).max(10_000) }),
  /** Its bytes follow on the stream, unless there are none any more. */
  z.object({ method: z.literal("takeContent"), ref: contentRefSchema, isGone: z.boolean() }),
  z.object({
    method: z.literal("forward"),
    taskId: taskIdSchema,
    port: z.int().min(1).max(65_535),
  }),
  z.object({ method: z.literal("held") }),
  z.object({
    method: z.literal("listVolumes"),
    names: z.array(volumeName).max(4096).optional(),
    sizes: z.boolean(),
  }),
  z.object({
    method: z.literal("readVolume"),
    name: volumeName,
    how: z.enum([...consistencySchema.options, "held"]),
  }),
  z.object({
    method: z.literal("writeVolume"),
    name: volumeName,
    stop: z.boolean(),
    mount: volumeMountSchema.optional(),
  }),
  z.object({ method: z.literal("holdVolume"), name: volumeName }),
  z.object({ method: z.literal("upgrade"), order: upgradeOrderSchema }),
  z.object({ method: z.literal("usage"), taskIds: z.array(taskIdSchema).max(10_000) }),
]);
export type Call = z.infer<typeof callSchema>;

/** What the server says of itself and of the cluster when a session begins. */
export const welcomeSchema = z.object({
  /** Milliseconds since 1970, by the server's clock. */
  serverTime: z.int(),
  serverId: z.string().max(64),
  /** The range of the node's own tasks, `10.210.1.0/24`; absent while it has none. */
  subnet: z.string().max(64).optional(),
  /** Base64, the primary key first. */
  gossipKeys: z.array(z.string().max(64)).max(64),
  /** Addresses at which members of the cluster gossip, `192.0.2.1:7946`. */
  peers: z.array(z.string().max(64)).max(1024),
  /** Addresses of servers, `192.0.2.1:6770`. */
  servers: z.array(z.string().max(300)).max(64),
  /** How long the node's certificate is good enough as it is, in milliseconds. */
  renewAfterMs: count.optional(),
});
export type Welcome = z.infer<typeof welcomeSchema>;

/** What an agent sends. It never names its node: that is who its certificate says. */
export const upFrameSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("hello"),
    protocol: z.int(),
    /** Another one in each life of the agent's process. */
    instance: z.string().min(1).max(64),
    facts: nodeFactsSchema,
    /** What the agent made by itself while it had no server. */
    successors: z.array(successorSchema).max(SUCCESSORS_MAX).default([]),
    /** Of the last set that it has; absent before the first. */
    generation: count.optional(),
    /** Frames that came into the protocol later and that this agent takes: `network`. */
    takes: z.array(z.string().max(32)).max(32).default([]),
  }),
  z.object({
    type: z.literal("statuses"),
    sequence: count,
    statuses: z.array(taskStatusSchema).max(10_000),
  }),
  /** Asks for the whole of it: what a change builds on is not what the agent has. */
  z.object({
    type: z.literal("whole"),
    of: z.enum(["assignments", "network"]).default("assignments"),
  }),
  z.object({ type: z.literal("time"), id: count }),
  z.object({
    type: z.literal("happened"),
    happenings: z.array(happeningSchema).max(HAPPENINGS_MAX),
  }),
  grant,
]);
export type UpFrame = z.infer<typeof upFrameSchema>;

/** What a server sends. */
export const downFrameSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("welcome"), protocol: z.int(), ...welcomeSchema.shape }),
  z.object({
    type: z.literal("assignments"),
    generation: count,
    /** The generation that this changes; absent in a whole set. */
    base: count.optional(),
    changed: z.array(assignmentSchema),
    removed: z.array(taskIdSchema),
    /** Whether more of the same generation follows. */
    more: z.boolean(),
  }),
  z.object({
    type: z.literal("network"),
    ...networkChangeSchema.shape,
    /** Whether more of the same change follows. */
    more: z.boolean(),
  }),
  /** The statuses are on disk. */
  z.object({ type: z.literal("ack"), sequence: count }),
  /** The statuses are not, and are to be sent again. */
  z.object({ type: z.literal("nack"), sequence: count, message: z.string().max(1000) }),
  z.object({ type: z.literal("time"), id: count, serverTime: z.int() }),
  /** The call has a schema of its own: one that the agent does not know yet ends no session. */
  z.object({ type: z.literal("open"), stream: streamId, call: z.unknown() }),
  z.object({ type: z.literal("cancel"), stream: streamId }),
  grant,
]);
export type DownFrame = z.infer<typeof downFrameSchema>;
export type WelcomeFrame = Extract<DownFrame, { type: "welcome" }>;
export type AssignmentsFrame = Extract<DownFrame, { type: "assignments" }>;
export type NetworkFrame = Extract<DownFrame, { type: "network" }>;

/** @throws OrchdError `invalid`, which tells the place of the fault and repeats nothing of it */
export function parseFrame<T>(schema: z.ZodType<T>, text: string, charactersMax: number): T {
  if (text.length > charactersMax) throw new OrchdError("invalid", "a frame is too long");
  // The parser would be busy with it for a tenth of a second, and everybody else wait.
  if (jsonDepthOf(text) > DEPTH_MAX) throw new OrchdError("invalid", "a frame is nested too deep");
  const { success, data, error } = schema.safeParse(parseJson(text));
  if (success) return data;
  const [issue] = error.issues;
  if (issue?.code === "invalid_union") throw new OrchdError("invalid", "a frame of unknown type");
  const place = (issue?.path ?? []).filter((key) => !isForeign(key)).join(".") || "frame";
  throw new OrchdError("invalid", `a frame is not valid at ${place}`);
}

/** Keys of records are the sender's own words; ours are short and plain. */
function isForeign(key: PropertyKey): boolean {
  return typeof key === "string" && !/^[a-zA-Z]{1,24}$/.test(key);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not JSON: the schema refuses it like any other wrong shape.
    return undefined;
  }
}
