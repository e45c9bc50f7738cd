import { z } from "zod";

/** How the server's own backups of the cluster go. */
export const clusterBackupStatusSchema = z.object({
  /** Absent where the server makes none by itself. */
  schedule: z
    .object({
      directory: z.string(),
      everyMs: z.int(),
      keep: z.int(),
      sealed: z.boolean(),
      /** Milliseconds since 1970, as all times here. */
      nextAt: z.int(),
    })
    .optional(),
  /** The latest one that is good, by whomever it was asked for; absent before the first. */
  last: z.object({ at: z.int(), bytes: z.int(), path: z.string().optional() }).optional(),
  /** The latest that failed, unless one was good since. */
  failure: z.object({ at: z.int(), message: z.string() }).optional(),
});
export type ClusterBackupStatus = z.infer<typeof clusterBackupStatusSchema>;
