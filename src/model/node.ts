import { z } from "zod";
import { nodeDeviceSchema } from "./device.ts";
import { blobDigestSchema, digestSchema } from "./digest.ts";
import { nodeDiskSchema } from "./disk.ts";
import { nodeIdSchema } from "./ids.ts";
import { nodeLinkSchema } from "./link.ts";
import { trialOutcomeSchema } from "./slots.ts";

/** The name of the runtime that has no containers. */
export const PROCESS_RUNTIME = "process";

/** What an agent tells beyond these would not be read. */
export const NOTES_MAX = 8;

export const nodeFactsSchema = z.object({
  hostname: z.string().min(1).max(253),
  /** The address by which others reach the node. */
  address: z.string().max(64),
  platform: z.object({
    os: z.string().max(32),
    /** As images name it: `amd64`, `arm64` … */
    arch: z.string().max(32),
  }),
  resources: z.object({
    /** Thousandths of a core. */
    cpuMillis: z.int().min(0),
    memoryBytes: z.int().min(0),
  }),
  runtime: z.object({ name: z.string().max(64), version: z.string().max(64) }),
  /** Whether it runs plain processes too; one whose runtime is called so runs nothing else. */
  processes: z.boolean().optional(),
  /** How much there is of what people gave a name, such as `lora: 2`. */
  generic: z.record(z.string().max(64), z.int().min(0)).optional(),
  /** Absent where the agent does not look for devices. */
  devices: z.array(nodeDeviceSchema).max(256).optional(),
  /** Paths of all device nodes but for those that each machine has. */
  deviceNodes: z.array(z.string().max(255)).max(1024).optional(),
  /** Images that are here for another platform than the node's, by reference: `linux/arm64`. */
  foreignImages: z.record(z.string().max(512), z.string().max(64)).optional(),
  /** How full its disks are; absent where nobody looks. */
  disk: nodeDiskSchema.optional(),
  /** Public key, base 64; of a node that can take part in an encrypted network. */
  wireguardKey: z.string().max(64).optional(),
  /** Where the node takes requests for services that want them; absent where it takes none. */
  ingress: z
    .object({
      /** 0 where it is off. */
      http: z.int().min(0).max(65_535),
      https: z.int().min(0).max(65_535),
      /** Why it takes none now, though services want them. */
      problems: z.array(z.string().max(500)).max(4),
    })
    .optional(),
  /** Version of orchd on the node. */
  orchdVersion: z.string().max(64),
  /** Absent where orchd can't be given another executable. */
  executable: z
    .object({
      /** Of what runs; absent for the one that people installed. */
      digest: blobDigestSchema.optional(),
      /** How the last trial of another one ended. */
      last: trialOutcomeSchema.optional(),
      /** Whether what runs is on trial. */
      isTrial: z.boolean().optional(),
    })
    .optional(),
  /** What the agent found out that people should put right, such as ports that are blocked. */
  notes: z.array(z.string().max(500)).max(NOTES_MAX).optional(),
});
/** What an agent says of its machine when its session begins. */
export type NodeFacts = z.infer<typeof nodeFactsSchema>;

export const nodeLabelsSchema = z.record(z.string().max(255), z.string().max(255));

/** More than any node that comes back can have been left with. */
export const VOLUMES_TO_REMOVE_MAX = 4096;

export const nodeSchema = z.object({
  id: nodeIdSchema,
  ...nodeFactsSchema.shape,
  roles: z.object({ server: z.boolean(), agent: z.boolean() }),
  labels: nodeLabelsSchema,
  /** How images may use its link; absent means as far as it goes. */
  link: nodeLinkSchema.optional(),
  /** Set by people: `pause` takes no new task, `drain` also moves its tasks away. */
  availability: z.enum(["active", "pause", "drain"]),
  /** When a drained node is to be empty: what nothing has replaced by then ends all the same. */
  drainBy: z.int().optional(),
  /** Set by the system. */
  health: z.enum(["ready", "suspect", "down"]),
  createdAt: z.int(),
  /** When `health` last changed. */
  since: z.int(),
  /** SHA-256 of the public key that stands for the node; absent on the server's own machine. */
  keyDigest: digestSchema.optional(),
  /** The addresses of its tasks; absent where the runtime gives tasks no network. */
  subnet: z.cidrv4().optional(),
  /** Milliseconds since 1970, by the server's clock. */
  certificateExpiresAt: z.int().optional(),
  /**
   * Names, in the runtime, of volumes whose stacks were removed with them while the node did not
   * answer: it is told to remove them when it does.
   */
  volumesToRemove: z.array(z.string().max(255)).max(VOLUMES_TO_REMOVE_MAX).optional(),
  /** Volumes on their way to the node: copies that nobody takes for good yet. */
  volumesComing: z.array(z.string().max(255)).max(VOLUMES_TO_REMOVE_MAX).optional(),
  /** Volumes that are another node's by now, and go here once they are used there. */
  volumesMoved: z
    .array(z.object({ name: z.string().max(255), to: nodeIdSchema }))
    .max(VOLUMES_TO_REMOVE_MAX)
    .optional(),
  /**
   * The first revision of a cluster that was put back from a backup, once the node was asked what
   * it was told in the time that was lost: it is believed that one time.
   */
  heardSinceRestore: z.int().optional(),
  version: z.int(),
});
export type Node = z.infer<typeof nodeSchema>;

/** Whether the scheduler may put a new task there. */
export function acceptsTasks(node: Node): boolean {
  const hasRoom = node.disk?.level !== "full";
  return node.roles.agent && node.availability === "active" && node.health === "ready" && hasRoom;
}
