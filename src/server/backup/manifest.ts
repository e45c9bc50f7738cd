import { z } from "zod";

/** The version of what a backup of a cluster holds. */
export const BACKUP_FORMAT = 1;

export const MANIFEST_NAME = "manifest.json";
export const DATABASE_NAME = "server.db";
/** What opens the secrets in the database, where a file does: only in a sealed backup. */
export const KEY_NAMES = ["vault.key", "vault.key.new"] as const;
/** In a sealed backup: how it is sealed, and what. */
export const SEAL_NAME = "seal.json";
export const SEALED_NAME = "backup.sealed";

const fileSchema = z.object({
  name: z.enum([DATABASE_NAME, ...KEY_NAMES]),
  bytes: z.int().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "is not a digest"),
});

export const manifestSchema = z.object({
  format: z.int().min(1),
  /** Milliseconds since 1970. */
  createdAt: z.int(),
  orchdVersion: z.string().max(64),
  clusterId: z.string().max(64),
  revision: z.int().min(0),
  nodes: z.int().min(0),
  services: z.int().min(0),
  /** What it holds, for people who look inside. */
  holds: z.string().max(1000),
  /** In the order in which they come; the database first. */
  files: z
    .array(fileSchema)
    .min(1)
    .max(1 + KEY_NAMES.length),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** How a passphrase becomes a key (RFC 7914), and what it opens. */
export const sealSchema = z.object({
  kdf: z.literal("scrypt"),
  /** CPU and memory cost: a power of two. */
  n: z.int().min(1024).max(1_048_576),
  r: z.int().min(1).max(16),
  p: z.int().min(1).max(4),
  /** Base 64. */
  salt: z.string().min(16).max(128),
  cipher: z.literal("aes-256-gcm"),
  chunkBytes: z.int().min(1024).max(1_048_576),
});
export type Seal = z.infer<typeof sealSchema>;

export const HOLDS =
  "The state of an orchd cluster, with the private key of its certificate authority, its gossip " +
  "keys and digests of its tokens: whoever has this can be the cluster's server. Secrets are in " +
  "it as the store has them, sealed. Not in it: what volumes hold, and images.";
