import { z } from "zod";
import { equalJson } from "../lib/order.ts";
import { itemIdSchema } from "./ids.ts";
import { STACK_ITEMS_MAX, stackItemSchema } from "./item.ts";
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
  /** Secrets and configs that its services name; their contents travel apart. */
  items: z.array(stackItemSchema).max(STACK_ITEMS_MAX).optional(),
});
export type StackSpec = z.infer<typeof stackSpecSchema>;

/** How many applied sets a stack remembers. */
export const SETS_KEPT = 10;

/** What `up` made of a stack once: its services, each at a revision. */
export const appliedSetSchema = z.object({
  /** Grows with each set. */
  id: z.int().min(1),
  at: z.int(),
  revisions: z.record(z.string(), z.int()),
});
export type AppliedSet = z.infer<typeof appliedSetSchema>;

export const stackSchema = z.object({
  name: stackNameSchema,
  volumes: z.array(z.string()),
  /** Its own secrets and configs, as its file has them now. */
  items: z.array(itemIdSchema).optional(),
  /** What it was made to be lately, the newest first: what `rollout undo --stack` goes back to. */
  sets: z.array(appliedSetSchema).optional(),
  createdAt: z.int(),
  updatedAt: z.int(),
  /** Set by `down`: the stack ends when its last service has. */
  removing: z.boolean(),
  /** Whether its volumes go with it. */
  removeVolumes: z.boolean(),
  version: z.int(),
});
export type Stack = z.infer<typeof stackSchema>;

/** The stack with one more applied set; the same object when its newest one says the same. */
export function withSet(stack: Stack, revisions: Record<string, number>, now: number): Stack {
  const [newest] = stack.sets ?? [];
  if (newest !== undefined && equalJson(newest.revisions, revisions)) return stack;
  const set: AppliedSet = { id: (newest?.id ?? 0) + 1, at: now, revisions };
  return { ...stack, sets: [set, ...(stack.sets ?? [])].slice(0, SETS_KEPT) };
}
