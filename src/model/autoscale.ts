import { z } from "zod";

const percent = z.number().positive().max(100_000);

const pace = z.object({
  /** Only what held for so long is followed, in ms: a moment's peak or lull moves nothing. */
  windowMs: z.int().min(0).max(86_400_000),
  /** Tasks that one step moves at most; 0 means no limit. */
  step: z.int().min(0).max(10_000),
});

/** How the tasks of a service follow what they have to do: `x-orchd.autoscale`. */
export const autoscalePolicySchema = z
  .object({
    min: z.int().min(1).max(10_000),
    max: z.int().min(1).max(10_000),
    /** Wanted use of what a task reserves, else of its limit, else of one core; in per cent. */
    cpuPercent: percent.optional(),
    /** Wanted use of what a task reserves, else of its limit; in per cent. */
    memoryPercent: percent.optional(),
    /** Wanted for each task a second: requests by ingress, new connections to published ports. */
    requestsPerSecond: z.number().positive().optional(),
    up: pace,
    down: pace,
  })
  .refine(({ min, max }) => min <= max, "min must not be above max");
export type AutoscalePolicy = z.infer<typeof autoscalePolicySchema>;

/** As of Kubernetes' horizontal autoscaler: up at once, down after five minutes. */
export const AUTOSCALE_UP = { windowMs: 0, step: 4 };
export const AUTOSCALE_DOWN = { windowMs: 300_000, step: 0 };
