import { z } from "zod";
import { healthSchema, taskStateSchema } from "./task.ts";

/** The stable shapes in which the API, and `--json`, show networks. */

export const networkSummarySchema = z.object({
  name: z.string(),
  /** Whether tasks that are in such networks alone reach nothing outside the cluster. */
  internal: z.boolean(),
  /** Stacks whose services are in it, by name. */
  stacks: z.array(z.string()),
  services: z.int(),
  /** Tasks that are in it, and those that get traffic. */
  tasks: z.int(),
  ready: z.int(),
});
export type NetworkSummary = z.infer<typeof networkSummarySchema>;

export const endpointSummarySchema = z.object({
  taskId: z.string(),
  /** `shop/web.1` */
  task: z.string(),
  address: z.string().optional(),
  /** That of IPv6, where the cluster has such. */
  address6: z.string().optional(),
  /** Host name. */
  node: z.string().optional(),
  state: taskStateSchema,
  health: healthSchema,
  /** Whether it gets traffic. */
  ready: z.boolean(),
  /** Why it does not; empty while it does. */
  reason: z.string(),
});
export type EndpointSummary = z.infer<typeof endpointSummarySchema>;

export const networkInspectionSchema = networkSummarySchema.extend({
  members: z.array(
    z.object({
      stack: z.string(),
      service: z.string(),
      /** Names by which it is found there, beside its own. */
      aliases: z.array(z.string()),
      endpointMode: z.enum(["vip", "dnsrr"]),
      /** Stands for all its tasks; absent with `dnsrr`. */
      virtualIp: z.string().optional(),
      virtualIp6: z.string().optional(),
      endpoints: z.array(endpointSummarySchema),
    }),
  ),
});
export type NetworkInspection = z.infer<typeof networkInspectionSchema>;
