import { z } from "zod";
import { serviceIdSchema, taskIdSchema } from "./ids.ts";

const counter = z.number().min(0);

/** What a node measured of some of its tasks; kept in memory alone. */
export const nodeUsageSchema = z.object({
  /** Milliseconds of a clock that only goes forward; comparable within one life of the agent. */
  at: z.number(),
  tasks: z
    .array(
      z.object({
        taskId: taskIdSchema,
        /** Time on a processor since the container started, in ms. */
        cpuMs: counter,
        memoryBytes: counter,
      }),
    )
    .max(10_000),
  /** New connections that came in by this node, by published port: `8080/tcp`. */
  connections: z.record(z.string().max(16), counter),
  /** HTTP requests that came in by this node for services with `x-orchd.ingress`, by service. */
  requests: z.record(serviceIdSchema, counter).optional(),
});
export type NodeUsage = z.infer<typeof nodeUsageSchema>;
