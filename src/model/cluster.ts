import { z } from "zod";
import { networkModeSchema } from "./network-map.ts";

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
  /** How tasks of one node reach those of another. */
  networkMode: networkModeSchema.default("vxlan"),
  createdAt: z.int(),
  /** When its first join token was made; absent until then. */
  firstTokenAt: z.int().optional(),
  version: z.int(),
});
/** What makes this cluster this one. */
export type Cluster = z.infer<typeof clusterSchema>;
