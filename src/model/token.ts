import { z } from "zod";
import { digestSchema } from "./digest.ts";
import { tokenIdSchema } from "./ids.ts";
import { registryScopeSchema } from "./registry-scope.ts";

export const tokenKindSchema = z.enum(["join", "admin", "registry"]);

export const tokenDescriptionSchema = z.string().max(200);

const scopesSchema = z.array(registryScopeSchema).min(1).max(32);

export const tokenSchema = z.object({
  id: tokenIdSchema,
  /**
   * `join` lets machines become nodes; with `admin` people may do everything, over TLS; with
   * `registry` what the scopes say with images, and nothing else.
   */
  kind: tokenKindSchema,
  /** The secret itself is told once and kept nowhere. */
  secretDigest: digestSchema,
  /** Of kind `registry`, and of no other. */
  scopes: scopesSchema.optional(),
  description: tokenDescriptionSchema,
  createdAt: z.int(),
  /** Milliseconds since 1970; absent means never. */
  expiresAt: z.int().optional(),
  /** How many nodes may join with it; absent means any number. */
  usesMax: z.int().min(1).optional(),
  /** How many nodes have joined with it. */
  uses: z.int().min(0),
  version: z.int(),
});
export type Token = z.infer<typeof tokenSchema>;

export const tokenStateSchema = z.enum(["valid", "expired", "usedUp"]);
export type TokenState = z.infer<typeof tokenStateSchema>;

/** Whether it is still good, at `now` (milliseconds since 1970). */
export function tokenState(token: Token, now: number): TokenState {
  if (token.expiresAt !== undefined && token.expiresAt <= now) return "expired";
  if (token.usesMax !== undefined && token.usesMax <= token.uses) return "usedUp";
  return "valid";
}

export const tokenSummarySchema = tokenSchema
  .omit({ secretDigest: true, version: true })
  .extend({ state: tokenStateSchema });
/** A token as people see it: without anything that could be used. */
export type TokenSummary = z.infer<typeof tokenSummarySchema>;

export function tokenSummaryOf(token: Token, now: number): TokenSummary {
  const { secretDigest: _, version: __, ...shown } = token;
  return { ...shown, state: tokenState(token, now) };
}

/** The longest that a token may be asked to live: a hundred years. */
const EXPIRES_IN_MAX_MS = 100 * 365 * 86_400_000;

export const tokenRequestSchema = z.object({
  kind: tokenKindSchema.default("join"),
  /** Of kind `registry`, which has them. */
  scopes: scopesSchema.optional(),
  description: tokenDescriptionSchema.default(""),
  /** From now, by the server's clock; absent means never. */
  expiresInMs: z.int().min(1).max(EXPIRES_IN_MAX_MS).optional(),
  usesMax: z.int().min(1).max(1_000_000).optional(),
});
export type TokenRequest = z.infer<typeof tokenRequestSchema>;

export const newTokenSchema = z.object({
  token: tokenSummarySchema,
  /** `ORCHD-1-…`: told now and never again. */
  text: z.string(),
  /** Where it can be used: `ip:port`; none when the server listens on its socket alone. */
  servers: z.array(z.string()),
});
export type NewToken = z.infer<typeof newTokenSchema>;
