import { z } from "zod";
import { networkModeSchema, range6Schema } from "./network-map.ts";

/** The key of the one object of its kind. */
export const CLUSTER_ID = "cluster";

/** Where the addresses of tasks and services are from, unless the first start says otherwise. */
export const CLUSTER_RANGE_DEFAULT = "10.210.0.0/16";

/** A gossip key: 32 bytes in base 64. */
export const gossipKeySchema = z
  .string()
  .regex(/^[A-Za-z0-9+/]{43}=$/, "is not a gossip key of 32 bytes");
export const gossipKeysSchema = z.array(gossipKeySchema).min(1).max(8);

/** PEM of anything of ours is far below this. */
export const pemSchema = z.string().min(1).max(8192);

export const clusterSchema = z.object({
  id: z.literal(CLUSTER_ID),
  /** PEM. Its digest stands in every join token. */
  caCertificate: pemSchema,
  /** PEM, PKCS 8. Leaves the store only to sign: never shown, told or logged. */
  caKey: pemSchema,
  /** The first one encrypts, all of them decrypt. */
  gossipKeys: gossipKeysSchema,
  /** The addresses of all tasks and services, chosen at the first start. */
  range: z.cidrv4().default(CLUSTER_RANGE_DEFAULT),
  /** The same for IPv6, chosen with it; absent means that tasks have IPv4 addresses alone. */
  range6: range6Schema.optional(),
  /** How tasks of one node reach those of another. */
  networkMode: networkModeSchema.default("vxlan"),
  createdAt: z.int(),
  /** When its first join token was made; absent until then. */
  firstTokenAt: z.int().optional(),
  /** The latest time that the state was put back from a backup. */
  restored: z
    .object({
      /** The revision of the backup: what was committed after it is lost. */
      from: z.int().min(0),
      /** The first revision since. None of before is as great. */
      to: z.int().min(1),
      at: z.int(),
    })
    .optional(),
  version: z.int(),
});
/** What makes this cluster this one. */
export type Cluster = z.infer<typeof clusterSchema>;

/** How far a cluster that is put back leaps: more commits than any that were lost. */
const LEAP = 1_000_000;

/**
 * The first revision of a cluster that is put back from a backup. A time stands for it, so that it
 * is greater than every revision that there ever was, also after another time of being put back.
 * @param now milliseconds since 1970; a wrong one does no harm to a cluster that is put back once
 */
export function revisionAfterRestore(from: number, now: number): number {
  return Math.max(from + LEAP, Math.floor(now));
}

/** Whether a revision is of a time that was lost when the cluster was put back. */
export function isLostRevision({ restored }: Cluster, revision: number): boolean {
  return restored !== undefined && revision > restored.from && revision < restored.to;
}
