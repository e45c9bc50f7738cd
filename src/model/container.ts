import { z } from "zod";
import { deviceRequestSchema } from "./device.ts";
import { probesSchema } from "./probe.ts";
import { grantSchema, GRANTS_MAX } from "./item.ts";

/** What a container is made of, free of Compose spelling: sizes in bytes, times in milliseconds. */

const text = z.string().max(32_768);
const textMap = z.record(z.string().max(4096), text);
const textList = z.array(text).max(4096);
const bytes = z.int().min(0);
const milliseconds = z.int().min(0);

export const volumeMountSchema = z.object({
  type: z.literal("volume"),
  /** The volume's name in the runtime, `shop_data`. Empty for an anonymous volume. */
  volume: z.string().max(255),
  /** Only this directory or file of it, relative; absent means all of it. */
  subpath: z.string().min(1).max(4096).optional(),
  target: text,
  readOnly: z.boolean(),
  noCopy: z.boolean(),
  external: z.boolean(),
  driver: z.string().max(255).optional(),
  driverOptions: textMap,
  labels: textMap,
});
export type VolumeMount = z.infer<typeof volumeMountSchema>;

export const mountSchema = z.discriminatedUnion("type", [
  volumeMountSchema,
  z.object({
    type: z.literal("bind"),
    source: text,
    target: text,
    readOnly: z.boolean(),
    createSource: z.boolean(),
    propagation: z.string().max(32).optional(),
  }),
  z.object({
    type: z.literal("tmpfs"),
    target: text,
    sizeBytes: bytes.optional(),
    /** File mode in octal notation's value, such as 0o1777. */
    mode: z.int().min(0).max(0o7777).optional(),
  }),
]);
export type Mount = z.infer<typeof mountSchema>;

export const deviceSchema = z.object({
  source: text,
  target: text,
  permissions: z.string().max(3),
});
export type Device = z.infer<typeof deviceSchema>;

export const ulimitSchema = z.object({
  /** `nofile`, `nproc` …, in lower case. */
  name: z.string().max(32),
  soft: z.int().min(-1),
  hard: z.int().min(-1),
});
export type Ulimit = z.infer<typeof ulimitSchema>;

/** What an image was when a revision was first made ready: its later tasks get that very one. */
export const imagePinSchema = z.object({
  /** Of the image's configuration: the same wherever the same archive was loaded. */
  id: z.string().max(128),
  /** By which its registry gives that very image. */
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
});
export type ImagePin = z.infer<typeof imagePinSchema>;

export const pullPolicySchema = z.enum(["always", "missing", "never"]);
export type PullPolicy = z.infer<typeof pullPolicySchema>;

/** What stands for the image of what has none. */
export const PROCESS_IMAGE = "process";

export const containerSpecSchema = z.object({
  /** A plain process of the node, without an image; absent means a container. */
  runtime: z.enum(["process"]).optional(),
  /** `PROCESS_IMAGE` where it is a process. */
  image: z.string().min(1).max(512),
  pullPolicy: pullPolicySchema,
  /** `os/arch[/variant]`; the node's own where absent. */
  platform: z.string().max(64).optional(),
  entrypoint: textList.optional(),
  command: textList.optional(),
  environment: textMap,
  /** Labels of the container itself; those of the service stand in its spec. */
  labels: textMap,
  annotations: textMap,
  user: z.string().max(255).optional(),
  groupAdd: textList,
  workingDir: text.optional(),
  hostname: z.string().max(253).optional(),
  domainName: z.string().max(253).optional(),
  init: z.boolean(),
  tty: z.boolean(),
  stdinOpen: z.boolean(),
  readOnly: z.boolean(),
  privileged: z.boolean(),
  capAdd: textList,
  capDrop: textList,
  securityOptions: textList,
  devices: z.array(deviceSchema).max(256),
  mounts: z.array(mountSchema).max(256),
  /** Secrets and configs that it reads. */
  grants: z.array(grantSchema).max(GRANTS_MAX).optional(),
  sysctls: textMap,
  ulimits: z.array(ulimitSchema).max(32),
  shmSizeBytes: bytes.optional(),
  oomScoreAdjust: z.int().min(-1000).max(1000).optional(),
  oomKillDisable: z.boolean(),
  /** `bridge` is the node's own network `orchd0`; `service` that of a task of `networkOf`. */
  networkMode: z.enum(["bridge", "host", "none", "service"]),
  /** The service of the same stack whose task on the node it shares the network of. */
  networkOf: z.string().max(255).optional(),
  pidMode: z.enum(["private", "host"]),
  ipcMode: z.enum(["private", "shareable", "host"]),
  utsMode: z.enum(["private", "host"]),
  usernsMode: z.enum(["private", "host"]).optional(),
  cgroupMode: z.enum(["private", "host"]).optional(),
  extraHosts: z
    .array(z.object({ host: z.string().max(253), address: z.string().max(64) }))
    .max(256),
  dns: textList,
  dnsSearch: textList,
  dnsOptions: textList,
  stopSignal: z.string().max(32).optional(),
  stopGraceMs: milliseconds,
  /** How its health is found out; absent leaves that to the image. */
  probes: probesSchema.optional(),
});
export type ContainerSpec = z.infer<typeof containerSpecSchema>;

/** Hard limits, enforced by the kernel; they never affect placement. Absent means none. */
export const limitsSchema = z.object({
  /** Thousandths of one core. */
  cpuMillis: z.int().min(1).optional(),
  memoryBytes: bytes.optional(),
  /** Memory and swap together, as runtimes count it; -1 means unlimited swap. */
  memorySwapBytes: z.int().min(-1).optional(),
  pids: z.int().min(-1).optional(),
  cpuShares: z.int().min(0).optional(),
  cpuSet: z.string().max(255).optional(),
});
export type Limits = z.infer<typeof limitsSchema>;

export const resourcesSchema = z.object({
  limits: limitsSchema,
  /** What placement keeps free for the task. */
  reservations: z.object({
    cpuMillis: z.int().min(0),
    memoryBytes: bytes,
    /** So much of what nodes have under these names. */
    generic: z.record(z.string().max(64), z.int().min(1)).optional(),
    devices: z.array(deviceRequestSchema).max(16).optional(),
  }),
});
export type Resources = z.infer<typeof resourcesSchema>;
