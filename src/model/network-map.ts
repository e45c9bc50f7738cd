import { z } from "zod";
import { bytesOfHost } from "../lib/ip.ts";
import { attachmentSchema, ATTACHMENTS_MAX } from "./attachment.ts";
import { nodeIdSchema, serviceIdSchema, taskIdSchema } from "./ids.ts";
import { INGRESS_RULES_MAX, ingressRuleSchema } from "./ingress-rule.ts";
import { nodeLinkSchema } from "./link.ts";
import { PORTS_MAX, portSchema } from "./service.ts";

/** How tasks of one node reach those of another. */
export const networkModeSchema = z.enum(["vxlan", "host-gw", "wireguard"]);
export type NetworkMode = z.infer<typeof networkModeSchema>;

/** The IPv6 network of a cluster: what is before the 32 bits of an IPv4 address. */
export const range6Schema = z.cidrv6().endsWith("/96");

/** A node whose tasks have addresses. */
export const mapNodeSchema = z.object({
  id: nodeIdSchema,
  hostname: z.string().max(253),
  /** The address by which other nodes reach it. */
  address: z
    .string()
    .max(64)
    .refine((text) => bytesOfHost(text) !== undefined, "is no IP address"),
  /** The addresses of its tasks. */
  subnet: z.cidrv4(),
  /** Base 64; of a node that can take part in an encrypted network. */
  wireguardKey: z.string().max(64).optional(),
  /** How images may use its link to others. */
  link: nodeLinkSchema.optional(),
});
export type MapNode = z.infer<typeof mapNodeSchema>;

export const mapServiceSchema = z.object({
  id: serviceIdSchema,
  stack: z.string(),
  name: z.string(),
  networks: z.array(attachmentSchema).max(ATTACHMENTS_MAX),
  /** Stands for all its tasks; absent with `endpoint_mode: dnsrr`. */
  virtualIp: z.ipv4().optional(),
  /** What it publishes. */
  ports: z.array(portSchema).max(PORTS_MAX),
  /** For how long a client's connections go to the same task, in milliseconds; absent means not. */
  stickyMs: z.int().min(1).optional(),
  /** Requests of hosts and paths that every node takes for it. */
  ingress: z.array(ingressRuleSchema).max(INGRESS_RULES_MAX).optional(),
});
export type MapService = z.infer<typeof mapServiceSchema>;

/** A task that has an address and has not ended. */
export const mapTaskSchema = z.object({
  id: taskIdSchema,
  serviceId: serviceIdSchema,
  slot: z.string(),
  nodeId: nodeIdSchema,
  address: z.ipv4(),
  /** Whether it gets traffic: one that starts or stops only sends. */
  isReady: z.boolean(),
  /** Where its revision differs from the newest one of the service. */
  networks: z.array(z.string().max(255)).max(ATTACHMENTS_MAX).optional(),
  ports: z.array(portSchema).max(PORTS_MAX).optional(),
  /** The rules of its own revision, where it takes their requests on other ports. */
  ingress: z.array(ingressRuleSchema).max(INGRESS_RULES_MAX).optional(),
});
export type MapTask = z.infer<typeof mapTaskSchema>;

/**
 * Everything that a node needs to know so that its tasks find and reach others. A server makes it;
 * a node puts what it knows better in its place: its own tasks, and which members are gone.
 */
export const networkMapSchema = z.object({
  generation: z.int().min(0),
  mode: networkModeSchema,
  /** The addresses of all tasks and services: `10.210.0.0/16`. */
  range: z.cidrv4(),
  /** Their IPv6 addresses, each with one of IPv4 at its end; absent means that they have none. */
  range6: range6Schema.optional(),
  nodes: z.array(mapNodeSchema),
  services: z.array(mapServiceSchema),
  tasks: z.array(mapTaskSchema),
});
export type NetworkMap = z.infer<typeof networkMapSchema>;
