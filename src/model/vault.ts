import { z } from "zod";
import { sealedSchema } from "./item.ts";

/** The key of the one object of its kind. */
export const VAULT_ID = "vault";

export const PASSPHRASE_LENGTH_MIN = 8;
export const PASSPHRASE_LENGTH_MAX = 1024;

const base64 = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/, "is not base 64");

/** What opens the data key. */
export const protectionSchema = z.discriminatedUnion("by", [
  z.object({ by: z.literal("keyFile") }),
  z.object({
    by: z.literal("passphrase"),
    /** Of scrypt (RFC 7914): the salt in base 64, and how dear a guess is. */
    salt: base64,
    cost: z
      .int()
      .min(2)
      .max(2 ** 20),
    blockSize: z.int().min(1).max(32),
    parallelization: z.int().min(1).max(16),
  }),
]);
export type Protection = z.infer<typeof protectionSchema>;

export const vaultSchema = z.object({
  id: z.literal(VAULT_ID),
  /** Counts the data keys: what is sealed is sealed for one of them. */
  keyNumber: z.int().min(1),
  /** The data key, sealed with a key from the key file or the passphrase. */
  sealedKey: sealedSchema,
  protection: protectionSchema,
  /** When the data key was made, in milliseconds since 1970. */
  keyAt: z.int(),
  version: z.int(),
});
/** How the contents of secrets and configs are sealed in the store. */
export type Vault = z.infer<typeof vaultSchema>;

export const vaultStatusSchema = z.object({
  state: z.enum(["unlocked", "locked"]),
  /** Why it is locked, in one sentence without its full stop; empty when it is not. */
  reason: z.string(),
  protectedBy: z.enum(["keyFile", "passphrase"]),
  /** When the data key was made, in milliseconds since 1970. */
  keyAt: z.int(),
});
export type VaultStatus = z.infer<typeof vaultStatusSchema>;

/** Absent means that the key file is read again. */
export const unlockRequestSchema = z.object({
  passphrase: z.string().min(1).max(PASSPHRASE_LENGTH_MAX).optional(),
});

/** With a passphrase the server starts locked from then on; without one a key file opens it. */
export const protectRequestSchema = z.object({
  passphrase: z.string().min(PASSPHRASE_LENGTH_MIN).max(PASSPHRASE_LENGTH_MAX).optional(),
});
