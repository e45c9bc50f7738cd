import { z } from "zod";
import { EXECUTABLE_BYTES_MAX } from "./bundle.ts";
import { blobDigestSchema } from "./digest.ts";

export const versionTextSchema = z.string().min(1).max(64);

export const upgradeOrderSchema = z.object({
  /** Of the upgrade; what a node tells of its end names it. */
  id: z.string().min(1).max(64),
  version: versionTextSchema,
  digest: blobDigestSchema,
  sizeBytes: z.int().min(1).max(EXECUTABLE_BYTES_MAX),
  /** How long the new executable has to be back in membership. */
  withinMs: z.int().min(1000).max(3_600_000),
});
/** What a server tells a node to become. */
export type UpgradeOrder = z.infer<typeof upgradeOrderSchema>;
