import { z } from "zod";
import { serviceNameSchema, stackNameSchema } from "./names.ts";
import { serviceSpecSchema } from "./service.ts";

export const SERVICES_MAX = 1000;

/** What `orchd up` asks for: a whole Compose project, resolved and free of Compose spelling. */
export const stackSpecSchema = z.object({
  services: z
    .record(serviceNameSchema, serviceSpecSchema)
    .refine((s) => Object.keys(s).length <= SERVICES_MAX, `has more than ${SERVICES_MAX} services`),
  /** Names, in the runtime, of the volumes that `down --volumes` removes; no external ones. */
  volumes: z.array(z.string().max(255)).max(1024),
});
export type StackSpec = z.infer<typeof stackSpecSchema>;

export const stackSchema = z.object({
  name: stackNameSchema,
  volumes: z.array(z.string()),
  createdAt: z.int(),
  updatedAt: z.int(),
  /** Set by `down`: the stack ends when its last service has. */
  removing: z.boolean(),
  /** Whether its volumes go with it. */
  removeVolumes: z.boolean(),
  version: z.int(),
});
export type Stack = z.infer<typeof stackSchema>;
