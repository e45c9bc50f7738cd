import { z } from "zod";
import {
  containerSpecSchema,
  imagePinSchema,
  limitsSchema,
  type Resources,
  resourcesSchema,
} from "./container.ts";
import { serviceIdSchema, taskIdSchema } from "./ids.ts";
import { INGRESS_RULES_MAX } from "./ingress-rule.ts";
import { portSchema, restartPolicySchema } from "./service.ts";
import { volumeBackupSchema } from "./volume-backup.ts";
import { desiredStateSchema, taskStateSchema, taskStatusSchema } from "./task.ts";

/** One task as its agent sees it: complete, so that a node can go on with no server in reach. */
export const assignmentSchema = z.object({
  taskId: taskIdSchema,
  serviceId: serviceIdSchema,
  stack: z.string(),
  service: z.string(),
  slot: z.string(),
  revision: z.int().min(1),
  desired: desiredStateSchema,
  /** The furthest state that the server knows of: a task that had ended is never started again. */
  state: taskStateSchema,
  container: containerSpecSchema,
  /** What its image has to be; absent for the first task of a revision. */
  pin: imagePinSchema.optional(),
  resources: resourcesSchema,
  /** The limits that hold by now, once they are others than those of its own revision. */
  limits: limitsSchema.optional(),
  ports: z.array(portSchema),
  /** The ports on which its service takes requests by `x-orchd.ingress`. */
  requestPorts: z.array(z.int().min(1).max(65_535)).max(INGRESS_RULES_MAX).optional(),
  /** Ids of the node's devices that the task gets beside those that its container names. */
  devices: z.array(z.string().max(255)).max(256).optional(),
  /** How the agent goes on when the task ends and no server is in reach; absent means not. */
  restart: restartPolicySchema.optional(),
  /** When its job's run has to be over, done or not, in ms since 1970; the agent ends it then. */
  endsAt: z.int().optional(),
  /** Backups of its volumes that the node makes, as the service's newest revision has them. */
  backups: z.array(volumeBackupSchema).max(256).optional(),
  /**
   * Where a task of its slot starts first, the others have to be, and none was known to have
   * started: a server may let the next attempt be elsewhere.
   */
  unbound: z.boolean().optional(),
  /** Failed attempts at the slot in a row before this one. */
  failures: z.int().min(0).default(0),
  /** Labels of the service, where its container or what it reads is filled in with them. */
  serviceLabels: z.record(z.string().max(4096), z.string().max(32_768)).optional(),
  /** Only of a task that the agent made itself: the last of its slot that the server knows of. */
  predecessor: z
    /** How that one ended, and when this one was made. */
    .object({ ended: taskStatusSchema, createdAt: z.int() })
    .optional(),
});
export type Assignment = z.infer<typeof assignmentSchema>;

/** Everything that one node should hold; a set with an older generation is refused. */
export const assignmentSetSchema = z.object({
  generation: z.int().min(0),
  assignments: z.array(assignmentSchema),
});
export type AssignmentSet = z.infer<typeof assignmentSetSchema>;

/** What a container of the task is made with now. */
export function resourcesNow({ resources, limits }: Assignment): Resources {
  return limits === undefined ? resources : { ...resources, limits };
}

/** `orchd-shop-web-1-k3v…`: unique, legal for every runtime, found by prefix when cleaning up. */
export function containerNameOf(assignment: Assignment): string {
  const { stack, service, taskId } = assignment;
  const slot = assignment.slot.length > 6 ? "" : `-${assignment.slot.replace("@", ".")}`;
  return `orchd-${stack}-${service}${slot}-${taskId}`;
}
