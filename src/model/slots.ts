import { z } from "zod";
import { blobDigestSchema } from "./digest.ts";

/** Each of them begins anew after a power cut; an executable that ends has one alone. */
export const TRIAL_ATTEMPTS_MAX = 3;
export const REASON_LENGTH_MAX = 500;

export const slotSchema = z.enum(["a", "b"]);
/** One of the two places in the data directory that executables are in. */
export type Slot = z.infer<typeof slotSchema>;

const placeSchema = z.enum(["installed", "a", "b"]);
/** Where an executable is: where people put it, or in a slot. */
export type Place = z.infer<typeof placeSchema>;

/** Of the upgrade that ordered a trial; files are named by it. */
export const runSchema = z.string().regex(/^[a-z0-9]{1,64}$/, "is no id of an upgrade");

const slotContentSchema = z.object({
  version: z.string().max(64),
  digest: blobDigestSchema,
  sizeBytes: z.int().min(1),
});
export type SlotContent = z.infer<typeof slotContentSchema>;

const installedSchema = z.object({
  path: z.string().min(1).max(4096),
  sizeBytes: z.int().min(1),
  /** Milliseconds since 1970. */
  modifiedAt: z.int(),
});
/** The executable that people installed, to be told from another one in its place. */
export type Installed = z.infer<typeof installedSchema>;

export const trialOutcomeSchema = z.object({
  id: runSchema,
  outcome: z.enum(["kept", "reverted"]),
  /** Why it was reverted, in a sentence without its full stop. */
  reason: z.string().max(REASON_LENGTH_MAX).optional(),
});
/** How the last trial of a new executable ended. */
export type TrialOutcome = z.infer<typeof trialOutcomeSchema>;

export const slotsSchema = z.object({
  format: z.literal(1),
  installed: installedSchema,
  /** What the role runs. */
  active: placeSchema,
  /** What it ran before, and runs again when `active` is spoilt. */
  former: placeSchema,
  a: slotContentSchema.optional(),
  b: slotContentSchema.optional(),
  trial: z
    .object({
      id: runSchema,
      slot: slotSchema,
      withinMs: z.int().min(1000).max(3_600_000),
      /** How often it was begun. */
      attempts: z.int().min(0),
    })
    .optional(),
  last: trialOutcomeSchema.optional(),
});
/** Which executable of orchd a machine runs, and which one it is trying. */
export type Slots = z.infer<typeof slotsSchema>;
export type Trial = NonNullable<Slots["trial"]>;
