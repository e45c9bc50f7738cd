import { z } from "zod";

/** What a method takes and answers: names of messages in `protocol.ts`, and the answer's shape. */
export interface Method<T> {
  path: string;
  request: string;
  reply: string;
  schema: z.ZodType<T>;
}

const nothing = z.unknown();
const labels = z.record(z.string(), z.string());

const mountSchema = z.object({
  type: z.string(),
  source: z.string(),
  target: z.string(),
  options: z.array(z.string()),
});
export type SnapshotMount = z.infer<typeof mountSchema>;

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string(),
  size: z.number(),
});

const timestampSchema = z.object({ seconds: z.number(), nanos: z.number() }).nullable();
export type ProtoTime = z.infer<typeof timestampSchema>;

const imageSchema = z.object({ name: z.string(), labels, target: descriptorSchema });
export type ImageRecord = z.infer<typeof imageSchema>;

const containerSchema = z.object({
  id: z.string(),
  labels,
  image: z.string(),
  spec: z.object({ value: z.instanceof(Uint8Array) }).nullable(),
});
export type ContainerRecord = z.infer<typeof containerSchema>;

const processSchema = z.object({
  id: z.string(),
  pid: z.number(),
  status: z.number(),
  exitStatus: z.number(),
  exitedAt: timestampSchema,
});
export type TaskProcess = z.infer<typeof processSchema>;

/** `Status` of containerd's task.proto. */
export const TASK_STATUS = { created: 1, stopped: 3, paused: 4, pausing: 5 } as const;

const mounts = z.object({ mounts: z.array(mountSchema) });
const exit = z.object({ exitStatus: z.number(), exitedAt: timestampSchema });

export const METHODS = {
  version: method("version.v1.Version/Version", "Empty", "VersionReply", {
    version: z.string(),
  }),
  plugins: method("introspection.v1.Introspection/Plugins", "PluginsRequest", "PluginsReply", {
    plugins: z.array(
      z.object({
        exports: labels,
        initErr: z.object({ message: z.string() }).nullable(),
      }),
    ),
  }),
  createNamespace: command("namespaces.v1.Namespaces/Create", "NamespaceRequest"),

  createLease: method("leases.v1.Leases/Create", "LeaseRequest", "LeaseReply", {
    lease: z.object({ id: z.string() }),
  }),
  deleteLease: command("leases.v1.Leases/Delete", "LeaseDeleteRequest"),

  contentInfo: method("content.v1.Content/Info", "DigestRequest", "ContentInfoReply", {
    info: z.object({ digest: z.string(), size: z.number(), labels }),
  }),
  updateContent: command("content.v1.Content/Update", "ContentUpdateRequest"),
  readContent: method("content.v1.Content/Read", "ReadRequest", "ReadReply", {
    data: z.instanceof(Uint8Array),
  }),
  writeContent: method("content.v1.Content/Write", "WriteRequest", "WriteReply", {
    offset: z.number(),
    digest: z.string(),
  }),
  abortContent: command("content.v1.Content/Abort", "RefRequest"),

  getImage: method("images.v1.Images/Get", "NameRequest", "ImageReply", { image: imageSchema }),
  listImages: method("images.v1.Images/List", "FiltersRequest", "ImagesReply", {
    images: z.array(imageSchema),
  }),
  createImage: command("images.v1.Images/Create", "ImageRequest"),
  updateImage: command("images.v1.Images/Update", "ImageRequest"),
  deleteImage: command("images.v1.Images/Delete", "ImageDeleteRequest"),

  prepareSnapshot: method("snapshots.v1.Snapshots/Prepare", "SnapshotRequest", "MountsReply", {
    mounts: z.array(mountSchema),
  }),
  snapshotMounts: {
    path: pathOf("snapshots.v1.Snapshots/Mounts"),
    request: "SnapshotRequest",
    reply: "MountsReply",
    schema: mounts,
  },
  commitSnapshot: command("snapshots.v1.Snapshots/Commit", "SnapshotCommitRequest"),
  removeSnapshot: command("snapshots.v1.Snapshots/Remove", "SnapshotRequest"),
  statSnapshot: method("snapshots.v1.Snapshots/Stat", "SnapshotRequest", "SnapshotInfoReply", {
    info: z.object({ name: z.string() }),
  }),
  listSnapshots: method("snapshots.v1.Snapshots/List", "SnapshotsRequest", "SnapshotsReply", {
    info: z.array(z.object({ name: z.string(), labels })),
  }),
  snapshotUsage: method("snapshots.v1.Snapshots/Usage", "SnapshotRequest", "UsageReply", {
    size: z.number(),
  }),
  apply: method("diff.v1.Diff/Apply", "ApplyRequest", "ApplyReply", { applied: descriptorSchema }),

  getContainer: method("containers.v1.Containers/Get", "IdRequest", "ContainerReply", {
    container: containerSchema,
  }),
  listContainers: method("containers.v1.Containers/List", "FiltersRequest", "ContainersReply", {
    containers: z.array(containerSchema),
  }),
  createContainer: command("containers.v1.Containers/Create", "ContainerRequest"),
  deleteContainer: command("containers.v1.Containers/Delete", "IdRequest"),

  createTask: method("tasks.v1.Tasks/Create", "TaskCreateRequest", "PidReply", { pid: z.number() }),
  startProcess: method("tasks.v1.Tasks/Start", "ProcessRequest", "StartReply", { pid: z.number() }),
  deleteTask: {
    path: pathOf("tasks.v1.Tasks/Delete"),
    request: "ProcessRequest",
    reply: "ExitReply",
    schema: exit,
  },
  deleteProcess: {
    path: pathOf("tasks.v1.Tasks/DeleteProcess"),
    request: "ProcessRequest",
    reply: "ExitReply",
    schema: exit,
  },
  waitProcess: {
    path: pathOf("tasks.v1.Tasks/Wait"),
    request: "ProcessRequest",
    reply: "WaitReply",
    schema: exit,
  },
  getTask: method("tasks.v1.Tasks/Get", "ProcessRequest", "ProcessReply", {
    process: processSchema,
  }),
  listTasks: method("tasks.v1.Tasks/List", "TasksRequest", "TasksReply", {
    tasks: z.array(processSchema),
  }),
  kill: command("tasks.v1.Tasks/Kill", "KillRequest"),
  pause: command("tasks.v1.Tasks/Pause", "ProcessRequest"),
  resume: command("tasks.v1.Tasks/Resume", "ProcessRequest"),
  update: command("tasks.v1.Tasks/Update", "UpdateRequest"),
  exec: command("tasks.v1.Tasks/Exec", "ExecRequest"),
  resize: command("tasks.v1.Tasks/ResizePty", "ResizeRequest"),
  closeIo: command("tasks.v1.Tasks/CloseIO", "CloseIoRequest"),

  publish: command("events.v1.Events/Publish", "PublishRequest"),
  subscribe: method("events.v1.Events/Subscribe", "FiltersRequest", "Envelope", {
    topic: z.string(),
    event: z.object({ value: z.instanceof(Uint8Array) }).nullable(),
  }),
} as const;

/** The milliseconds since 1970 of a time as it travels; undefined where there is none. */
export function millisecondsOf(time: ProtoTime): number | undefined {
  if (time === null || time.seconds <= 0) return undefined;
  return time.seconds * 1000 + Math.floor(time.nanos / 1e6);
}

function method<S extends z.ZodRawShape>(name: string, request: string, reply: string, shape: S) {
  return { path: pathOf(name), request, reply, schema: z.object(shape) };
}

/** A method whose answer says nothing beyond that it worked. */
function command(name: string, request: string): Method<unknown> {
  return { path: pathOf(name), request, reply: "Empty", schema: nothing };
}

function pathOf(name: string): string {
  return `/containerd.services.${name}`;
}
