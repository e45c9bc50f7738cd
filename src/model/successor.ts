import { z } from "zod";
import { taskIdSchema } from "./ids.ts";
import { taskStatusSchema } from "./task.ts";

/** One node holds far fewer tasks. */
export const SUCCESSORS_MAX = 2000;

/**
 * A task that an agent made by itself, in place of one that ended while no server was in reach. The
 * server takes it up when the session begins again.
 */
export const successorSchema = z.object({
  taskId: taskIdSchema,
  /** The last task of the slot that the server knows of. */
  predecessor: taskIdSchema,
  /** How that one ended. */
  ended: taskStatusSchema,
  /** Failed attempts at the slot in a row before it. */
  failures: z.int().min(0),
  /** Milliseconds since 1970, by the node's clock. */
  createdAt: z.int(),
});
export type Successor = z.infer<typeof successorSchema>;
