import { z } from "zod";
import { windowSchema } from "./window.ts";

/** What the failures of a rollout, or its standing still, lead to. */
export const failureActionSchema = z.enum(["pause", "continue", "rollback"]);
export type FailureAction = z.infer<typeof failureActionSchema>;

const milliseconds = z.int().min(0);

export const updatePolicySchema = z.object({
  order: z.enum(["stop-first", "start-first"]),
  /** Slots replaced at once; 0 means all. */
  parallelism: z.int().min(0),
  /** Time for which a new task must have been ready before the next slot's turn. */
  delayMs: milliseconds,
  /** For so long after it became ready the end of a new task counts as a failure. */
  monitorMs: milliseconds.optional(),
  /** Failed slots, as a part of all, that a rollout goes on with. */
  maxFailureRatio: z.number().min(0).max(1).optional(),
  failureAction: failureActionSchema.optional(),
  /** For so long a rollout may stand still before its failure action is taken; 0: for ever. */
  progressDeadlineMs: milliseconds.optional(),
});
export type UpdatePolicy = z.infer<typeof updatePolicySchema>;

/** Defaults of Swarm, but for the deadline, which Swarm does not have. */
export const UPDATE_DEFAULTS = {
  monitorMs: 5000,
  maxFailureRatio: 0,
  failureAction: "pause",
  progressDeadlineMs: 600_000,
} as const;

/** `x-orchd.rollout`: how carefully a service goes from one revision to the next. */
export const rolloutRulesSchema = z.object({
  /** Slots that go first, and then wait for a promotion. */
  canary: z
    .object({ amount: z.int().min(1).max(10_000), unit: z.enum(["tasks", "percent"]) })
    .optional(),
  /** Whether a person promotes, which is the default, or time without a failure. */
  promote: z.enum(["auto", "manual"]).optional(),
  /** A new slot is begun in one of these only. */
  windows: z.array(windowSchema).min(1).max(64).optional(),
  /** No rollout begins before a person lets it. */
  lock: z.boolean().optional(),
});
export type RolloutRules = z.infer<typeof rolloutRulesSchema>;

/** Slots, by name: `1`, `2` … or the ids of nodes. */
const slotNames = z.array(z.string());

/** How far a service is on its way from one template to the next; the last one is kept. */
export const rolloutSchema = z.object({
  state: z.enum([
    /** Slots are replaced one after the other. */
    "running",
    /** The first slots are replaced, and the others wait for a promotion. */
    "canary",
    /** Slots wait until one of the service's windows opens. */
    "waiting-for-window",
    /** A person, a lock or a failure stopped it: slots that have begun go on, no other begins. */
    "paused",
    "completed",
    "rolling-back",
    "rolled-back",
  ]),
  /** The revision that the service was at, and goes back to when this one fails. */
  from: z.int().min(1),
  /** The first revision of the new template. */
  to: z.int().min(1),
  /** Milliseconds since 1970. */
  startedAt: z.int(),
  /** When a person let it go on last. */
  resumedAt: z.int().optional(),
  /** When it was completed or rolled back. */
  finishedAt: z.int().optional(),
  /** Slots that needed a new task when it began. */
  slots: z.int().min(0),
  /** Slots whose first new task failed. */
  failed: slotNames,
  /** Failed slots that a person went on in spite of: they are not counted again. */
  forgiven: slotNames,
  /** The slots that go first, once they are chosen. */
  canaries: slotNames.optional(),
  promoted: z.boolean().optional(),
  /** The service's file asks for a veto, which nobody has lifted yet. */
  locked: z.boolean().optional(),
  /** It goes back: after failures, or because a person undid a revision. */
  back: z.enum(["failure", "person"]).optional(),
  /** One sentence for people: why it is where it is. Empty when there is nothing to say. */
  message: z.string().max(4096),
});
export type Rollout = z.infer<typeof rolloutSchema>;

/** Whether slots are still to be replaced, or watched: it is neither over nor replaced. */
export function isUnderWay(rollout: Rollout | undefined): rollout is Rollout {
  return rollout !== undefined && rollout.state !== "completed" && rollout.state !== "rolled-back";
}

/** How many of `slots` slots go first; a part of one is one. */
export function canariesWanted(rules: RolloutRules | undefined, slots: number): number {
  const canary = rules?.canary;
  if (canary === undefined) return 0;
  const many = canary.unit === "tasks" ? canary.amount : Math.ceil((slots * canary.amount) / 100);
  return Math.min(many, slots);
}
