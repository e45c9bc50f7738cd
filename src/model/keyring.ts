import { z } from "zod";
import type { Parsed } from "../lib/parsed.ts";
import { gossipKeySchema } from "./cluster.ts";

/** More keys than a rotation ever needs at a time. */
const KEYS_MAX = 8;

/** What a gossip key is called: the beginning of its digest, which opens nothing. */
export const fingerprintSchema = z.string().regex(/^[0-9a-hjkmnp-tv-z]{12}$/, "names no key");

export const keySummarySchema = z.object({
  fingerprint: fingerprintSchema,
  /** Whether this one encrypts; all of them decrypt. */
  primary: z.boolean(),
  /** The key itself in base 64, only where it was asked for. */
  key: gossipKeySchema.optional(),
});
/** A key of the cluster's gossip. */
export type KeySummary = z.infer<typeof keySummarySchema>;

/** Absent means a random one. */
export const keyRequestSchema = z.object({ key: gossipKeySchema.optional() });

/** The keys with one more, which every node understands from then on and none uses yet. */
export function withKey(keys: readonly string[], key: string): Parsed<string[]> {
  if (keys.includes(key)) return { ok: true, value: [...keys] };
  if (keys.length < KEYS_MAX) return { ok: true, value: [...keys, key] };
  const problem = `the keyring is full with ${KEYS_MAX} keys: remove one that is not used any more`;
  return { ok: false, problem };
}

/** The keys with one of them first: the one that encrypts. */
export function withPrimary(keys: readonly string[], key: string): string[] {
  return [key, ...keys.filter((other) => other !== key)];
}

/** The keys without one, which then opens nothing any more. */
export function withoutKey(keys: readonly string[], key: string): Parsed<string[]> {
  if (keys[0] !== key) return { ok: true, value: keys.filter((other) => other !== key) };
  return { ok: false, problem: "this key is the primary one: use another one first" };
}
