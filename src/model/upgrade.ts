import { z } from "zod";
import { EXECUTABLE_BYTES_MAX } from "./bundle.ts";
import { blobDigestSchema } from "./digest.ts";
import { type NodeId, nodeIdSchema } from "./ids.ts";
import { runSchema } from "./slots.ts";

/** The key of the one object of its kind. */
export const UPGRADE_ID = "upgrade";
/** How long a new executable has to be back in membership, in milliseconds. */
export const WITHIN_MS_DEFAULT = 120_000;
export const PARALLEL_MAX = 100;
const PROBLEM_LENGTH_MAX = 1000;
const NODES_MAX = 10_000;

export const versionTextSchema = z.string().min(1).max(64);
const withinMsSchema = z.int().min(1000).max(3_600_000);

export const upgradeOrderSchema = z.object({
  /** Of the upgrade; what a node tells of its end names it. */
  id: runSchema,
  version: versionTextSchema,
  digest: blobDigestSchema,
  sizeBytes: z.int().min(1).max(EXECUTABLE_BYTES_MAX),
  /** How long the new executable has to be back in membership. */
  withinMs: withinMsSchema,
});
/** What a server tells a node to become. */
export type UpgradeOrder = z.infer<typeof upgradeOrderSchema>;

export const executableSchema = z.object({
  version: versionTextSchema,
  /** `linux/arm64`. */
  platform: z.string().max(64),
  digest: blobDigestSchema,
  sizeBytes: z.int().min(1).max(EXECUTABLE_BYTES_MAX),
});
/** An executable of orchd that the site keeps. */
export type Executable = z.infer<typeof executableSchema>;

const upgradeNodeSchema = z.object({
  id: nodeIdSchema,
  /** `preparing`: it gets the executable and looks at it; `trying`: it restarts for it. */
  state: z.enum(["waiting", "preparing", "trying", "done", "failed"]),
  /** When it came to be in this state, in milliseconds since 1970. */
  since: z.int(),
  problem: z.string().max(PROBLEM_LENGTH_MAX).optional(),
});
export type UpgradeNode = z.infer<typeof upgradeNodeSchema>;

const planShape = {
  /** The version that nodes are to run. */
  to: versionTextSchema,
  /** Nodes that are servers come last, or first where they have to understand the others. */
  order: z.enum(["agentsFirst", "serversFirst"]),
  /** So many nodes at once. */
  parallel: z.int().min(1).max(PARALLEL_MAX),
  withinMs: withinMsSchema,
  /** Whether an older version is taken too, and the same one anew. */
  force: z.boolean(),
  state: z.enum(["running", "done", "failed", "canceled"]),
  startedAt: z.int(),
  endedAt: z.int().optional(),
};

export const upgradeSchema = z.object({
  id: z.literal(UPGRADE_ID),
  /** Another one for each upgrade. */
  run: runSchema,
  ...planShape,
  /** For each platform one. */
  executables: z.array(executableSchema).max(16),
  nodes: z.array(upgradeNodeSchema).max(NODES_MAX),
  version: z.int(),
});
/** The upgrade of orchd that is under way, or was last. */
export type Upgrade = z.infer<typeof upgradeSchema>;

export const upgradeRequestSchema = z.object({
  /** Absent means the newest version that the site keeps. */
  to: versionTextSchema.optional(),
  /** Host names or ids; absent means all nodes. */
  nodes: z.array(z.string().min(1).max(253)).min(1).max(NODES_MAX).optional(),
  /** Only nodes with all these labels. */
  labels: z.record(z.string().max(255), z.string().max(255)).default({}),
  parallel: planShape.parallel.default(1),
  withinMs: withinMsSchema.default(WITHIN_MS_DEFAULT),
  force: planShape.force.default(false),
});
export type UpgradeRequest = z.infer<typeof upgradeRequestSchema>;

export const upgradeStatusSchema = z.object({
  run: runSchema,
  ...planShape,
  /** What a server runs that has no agent, and so is no node: people put another one there. */
  serverVersion: z.string().optional(),
  nodes: z.array(
    z.object({
      id: nodeIdSchema,
      /** Its host name. */
      node: z.string(),
      /** `away`: it waits until the node is back. */
      state: z.enum(["waiting", "away", "preparing", "trying", "done", "failed"]),
      /** What it runs now. */
      version: z.string(),
      isServer: z.boolean(),
      problem: z.string().optional(),
    }),
  ),
});
export type UpgradeStatus = z.infer<typeof upgradeStatusSchema>;

/** Makes a text fit where a problem of a node stands. */
export function problemText(text: string): string {
  return text.slice(0, PROBLEM_LENGTH_MAX);
}

/** Whether a node was told to restart for the upgrade, and is not known to be back. */
export function isTrying({ nodes }: Upgrade, nodeId: NodeId): boolean {
  return nodes.some(({ id, state }) => id === nodeId && state === "trying");
}
