import { z } from "zod";

/** How tasks leave a drained node, where that is to be otherwise than in an update. */
export const drainPolicySchema = z.object({
  order: z.enum(["stop-first", "start-first"]).optional(),
  /** Slots that may be without a task that serves at once; 0 means all. */
  parallelism: z.int().min(0).optional(),
});
export type DrainPolicy = z.infer<typeof drainPolicySchema>;
