import { z } from "zod";
import { gossipKeysSchema, pemSchema } from "./cluster.ts";
import { nodeIdSchema } from "./ids.ts";
import { nodeLinkSchema } from "./link.ts";
import { range6Schema } from "./network-map.ts";
import { nodeFactsSchema, nodeLabelsSchema } from "./node.ts";

/** What machines are called: letters, digits and inner `.`, `-`, `_`. */
export const nodeNameSchema = z
  .string()
  .regex(
    /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,251}[a-zA-Z0-9])?$/,
    "must be 1 to 253 letters, digits, '.', '-' or '_', with a letter or digit at both ends",
  );

const LABELS_MAX = 128;

const serversSchema = z.array(z.string().min(1).max(260)).max(64);

/** A machine asks to become a node. */
export const joinRequestSchema = z.object({
  /** The secret of a join token. */
  secret: z.string().min(1).max(128),
  /** PEM. Nothing of it counts but its key. */
  csr: z.string().min(1).max(4096),
  facts: nodeFactsSchema,
  labels: nodeLabelsSchema.refine(
    (labels) => Object.keys(labels).length <= LABELS_MAX,
    `has more than ${LABELS_MAX} labels`,
  ),
  /** How its link may be used; absent means as it was. */
  link: nodeLinkSchema.optional(),
  /** What the node is called; absent means its host name. */
  name: nodeNameSchema.optional(),
});
export type JoinRequest = z.infer<typeof joinRequestSchema>;

export const joinAnswerSchema = z.object({
  nodeId: nodeIdSchema,
  name: z.string().min(1).max(253),
  /** PEM */
  certificate: pemSchema,
  /** PEM */
  caCertificate: pemSchema,
  gossipKeys: gossipKeysSchema,
  /** Absent where the runtime gives tasks no network. */
  subnet: z.cidrv4().optional(),
  /** Absent where tasks have no IPv6 addresses. */
  range6: range6Schema.optional(),
  /** `host:port` of every server. */
  servers: serversSchema,
});
export type JoinAnswer = z.infer<typeof joinAnswerSchema>;

/** A node asks for a new certificate of the key that it has. */
export const certificateRequestSchema = z.object({ csr: z.string().min(1).max(4096) });

export const certificateAnswerSchema = z.object({
  /** PEM */
  certificate: pemSchema,
  /** Milliseconds since 1970: what a node without a clock can go by. */
  serverTime: z.int(),
  servers: serversSchema,
});
export type CertificateAnswer = z.infer<typeof certificateAnswerSchema>;

/** Where a node asks for them. */
export const HOST_CERTIFICATES_PATH = "/v1/host-certificates";

/** Hosts of one request for their certificates. */
export const CERTIFIED_HOSTS_MAX = 64;

/** A node asks for certificates of one key, by which it answers for hosts of the ingress. */
export const hostCertificatesRequestSchema = z.object({
  csr: z.string().min(1).max(4096),
  hosts: z.array(z.string().min(1).max(253)).min(1).max(CERTIFIED_HOSTS_MAX),
});
export type HostCertificatesRequest = z.infer<typeof hostCertificatesRequestSchema>;

/** A chain of certificates, or a key, of the largest kinds. */
export const HOST_PEM_MAX = 32 * 1024;
const hostPemSchema = z.string().min(1).max(HOST_PEM_MAX);

/** Of hosts that no service has any more there is nothing in it. */
export const hostCertificatesAnswerSchema = z.object({
  certificates: z
    .array(
      z.object({
        host: z.string().max(253),
        certificate: hostPemSchema,
        /** Of one that people gave: the key that goes with it, and which files both are from. */
        given: z.object({ key: hostPemSchema, files: z.string().max(255) }).optional(),
      }),
    )
    .max(CERTIFIED_HOSTS_MAX),
});
export type HostCertificatesAnswer = z.infer<typeof hostCertificatesAnswerSchema>;

export const caAnswerSchema = z.object({
  /** PEM. Worth nothing until its digest is the one that a token names. */
  caCertificate: pemSchema,
});

export const identitySchema = joinAnswerSchema.extend({
  /** PEM, PKCS 8: made on the node, and never leaves it. */
  key: pemSchema,
});
/** What makes a machine the node that it is; kept on its own disk. */
export type Identity = z.infer<typeof identitySchema>;
