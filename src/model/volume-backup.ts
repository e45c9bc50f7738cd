import { z } from "zod";
import { scheduleSchema } from "./job.ts";
import { consistencySchema } from "./volume.ts";

export const VOLUME_BACKUPS_KEPT_MAX = 1000;

/** Backups of a volume that its node makes by itself, server or not. */
export const volumeBackupSchema = z.object({
  /** The volume's name in the runtime. */
  volume: z.string().min(1).max(255),
  cron: scheduleSchema.shape.cron,
  timeZone: scheduleSchema.shape.timeZone,
  /** How many are kept; the oldest go when a new one is good. */
  keep: z.int().min(1).max(VOLUME_BACKUPS_KEPT_MAX),
  /** A directory of the node; absent means one in orchd's own data. */
  to: z.string().max(4096).optional(),
  how: consistencySchema,
});
export type VolumeBackup = z.infer<typeof volumeBackupSchema>;
