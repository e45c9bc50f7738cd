import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import { containerNameOf, type Assignment } from "../../model/assignment.ts";
import type { ContainerSpec, Mount, VolumeMount } from "../../model/container.ts";
import { taskIdSchema, type NodeId, type TaskId } from "../../model/ids.ts";
import { LABELS, type CreateOptions } from "../driver.ts";
import type { ProcessLimits } from "../podman/process-limits.ts";
import { signalNumberOf } from "../podman/signals.ts";
import { accountOf } from "./accounts.ts";
import { readBoundingSet } from "./capabilities.ts";
import { cgroupsPathOf, countsSwap, hasUnifiedCgroups, requireMemoryLimits } from "./cgroups.ts";
import type { ContainerFiles } from "./container-files.ts";
import { isCode } from "./errors.ts";
import { etcFilesOf } from "./etc-files.ts";
import { anyOf, type ContainerdGrpc } from "./grpc.ts";
import { imageMissing, type ImageStore, type KnownImage } from "./image-store.ts";
import { METHODS, type SnapshotMount } from "./methods.ts";
import { devicesOf } from "./oci-devices.ts";
import { bind, mountsOf } from "./oci-mounts.ts";
import { securityOf } from "./oci-security.ts";
import { hostnameOf, ociSpecOf } from "./oci-spec.ts";
import { layersOf, readInLayers } from "./rootfs.ts";
import { SNAPSHOTTER } from "./unpack.ts";
import { fillVolume, type Volumes } from "./volumes.ts";

/** What is to be known of a container later, on its record. */
export const IMAGE_LABEL = "orchd.image";
export const STOP_LABEL = "orchd.stop-signal";
export const TTY_LABEL = "orchd.tty";
const NAME_LABEL = "orchd.name";
/** containerd takes no longer ones, key and value together. */
const LABEL_BYTES_MAX = 4096;

const SPEC_URL = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const RUNTIME = "io.containerd.runc.v2";
const INITS = ["/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/bin/tini"].concat([
  "/usr/bin/docker-init",
  "/usr/libexec/docker/docker-init",
]);

export interface MakerParts {
  grpc: ContainerdGrpc;
  nodeId: NodeId;
  images: ImageStore;
  volumes: Volumes;
  files: ContainerFiles;
  /** What the containerd service may grant: see `ProcessLimits`. */
  limits: ProcessLimits;
  /** Where file systems of containers are mounted for a moment. */
  mountDirectory: string;
}

/** The network of another task, in which a container is to be. */
export interface SharedNetwork {
  /** Where its namespace is. */
  path: string;
  /** That task's. */
  address?: string;
}

interface SpecParts {
  assignment: Assignment;
  image: KnownImage;
  etc: ReadonlyMap<string, string>;
  /** The namespace that it shares. */
  network: string | undefined;
}

interface Surroundings {
  /** Where the node is for containers on its bridge. */
  gateway: string;
  shared?: SharedNetwork;
}

/** Makes containers of assignments: a snapshot, files of ours, a record; and takes them away. */
export class ContainerMaker {
  readonly #parts: MakerParts;

  constructor(parts: MakerParts) {
    this.#parts = parts;
  }

  async make(options: CreateOptions, { gateway, shared }: Surroundings): Promise<void> {
    const { assignment, resolver } = options;
    const address = options.address ?? shared?.address;
    const { taskId, container, resources } = assignment;
    const { images, files } = this.#parts;
    requireMemoryLimits(resources);
    requireSources(container.mounts);
    const image = await images.find(container.image);
    if (image === undefined) throw imageMissing(container.image);
    const etc = etcFilesOf({
      spec: container,
      hostname: hostnameOf(assignment),
      gateway,
      ...(address === undefined ? {} : { address }),
      ...(resolver === undefined ? {} : { resolver }),
    });
    files.make(taskId, etc);
    try {
      const mounts = await this.#prepare(taskId, image);
      const network = shared?.path;
      const spec = await this.#specOf({ assignment, image, etc, network }, mounts);
      await this.#record(options, image, spec);
    } catch (error) {
      if (!(error instanceof OrchdError) || !error.retryable) await this.remove(taskId);
      throw error;
    }
  }

  /** Its record first: what is left of it then is swept away at the latest by the next orchd. */
  async remove(taskId: TaskId): Promise<void> {
    const { grpc, files } = this.#parts;
    await gone(grpc.call(METHODS.deleteContainer, { id: taskId }));
    await this.#removeSnapshot(taskId);
    files.remove(taskId);
  }

  /** Removes snapshots of containers of ours that there are not. */
  async sweep(known: ReadonlySet<TaskId>): Promise<void> {
    const { grpc, nodeId } = this.#parts;
    const request = {
      snapshotter: SNAPSHOTTER,
      filters: [`labels."${LABELS.owner}"==${nodeId}`],
    };
    for await (const { info } of grpc.stream(METHODS.listSnapshots, request)) {
      for (const { name } of info) {
        const taskId = taskIdSchema.safeParse(name).data;
        if (taskId !== undefined && !known.has(taskId)) await this.#removeSnapshot(taskId);
      }
    }
  }

  /** The container's own file system upon the image's; one that an earlier try left goes first. */
  async #prepare(taskId: TaskId, image: KnownImage): Promise<SnapshotMount[]> {
    const { grpc, nodeId } = this.#parts;
    const request = {
      snapshotter: SNAPSHOTTER,
      key: taskId,
      parent: image.chainId,
      // Until the record is there nothing else would keep it.
      labels: {
        "containerd.io/gc.root": new Date().toISOString(),
        [LABELS.owner]: nodeId,
      },
    };
    try {
      return (await grpc.call(METHODS.prepareSnapshot, request)).mounts;
    } catch (error) {
      if (!isCode(error, "conflict")) throw error;
      await this.#removeSnapshot(taskId);
      return (await grpc.call(METHODS.prepareSnapshot, request)).mounts;
    }
  }

  async #specOf(
    { assignment, image, etc, network }: SpecParts,
    snapshot: readonly SnapshotMount[],
  ): Promise<Record<string, unknown>> {
    const { taskId, container } = assignment;
    const { files, limits, volumes } = this.#parts;
    const layers = layersOf(snapshot);
    const all = withImageVolumes(container, image);
    const paths = this.#volumePaths(taskId, all);
    for (const [mount, path] of paths) {
      if (mount.noCopy) continue;
      const place = join(this.#parts.mountDirectory, taskId);
      await fillVolume(path, mount.target, { mounts: snapshot, layers, place });
    }
    const passwd = readInLayers(layers, "etc/passwd") ?? "";
    const group = readInLayers(layers, "etc/group") ?? "";
    const user = container.user ?? image.config.config?.User ?? "";
    const init = container.init ? requireInit() : undefined;
    const mounts = mountsOf(
      { ...container, mounts: all },
      {
        volume: (mount) => {
          if (mount.volume !== "") return volumes.mountOf(mount);
          const access = mount.readOnly ? "ro" : "rw";
          return bind(paths.get(mount) ?? "", mount.target, ["rprivate", access]);
        },
        etc: files.etcOf(taskId, etc.keys()),
        ...(init === undefined ? {} : { init }),
      },
    );
    return ociSpecOf({
      assignment,
      image: image.config,
      account: accountOf(user, container.groupAdd, { passwd, group }),
      security: securityOf(container, readBoundingSet()),
      mounts,
      devices: devicesOf(container),
      limits,
      kernel: { countsSwap: countsSwap(), unifiedCgroups: hasUnifiedCgroups() },
      cgroupsPath: cgroupsPathOf(taskId),
      ...(network === undefined ? {} : { network }),
    });
  }

  /** Where the files of its volumes are; anonymous ones are made, and go with the container. */
  #volumePaths(taskId: TaskId, mounts: readonly Mount[]): Map<VolumeMount, string> {
    const { files, volumes } = this.#parts;
    const paths = new Map<VolumeMount, string>();
    for (const [index, mount] of mounts.entries()) {
      if (mount.type !== "volume") continue;
      if (mount.volume === "") {
        const path = join(files.pathOf(taskId), "volumes", String(index));
        mkdirSync(path, { recursive: true });
        paths.set(mount, path);
      } else if (volumes.mountOf(mount).type === "bind") {
        paths.set(mount, volumes.filesOf(mount.volume));
      }
    }
    return paths;
  }

  async #record(options: CreateOptions, image: KnownImage, spec: object): Promise<void> {
    const { grpc } = this.#parts;
    const { taskId } = options.assignment;
    await grpc.call(METHODS.createContainer, {
      container: {
        id: taskId,
        labels: this.#labelsOf(options, image),
        image: image.name,
        runtime: { name: RUNTIME },
        spec: anyOf(SPEC_URL, spec),
        snapshotter: SNAPSHOTTER,
        snapshotKey: taskId,
      },
    });
  }

  /** Labels of its own that are too long for containerd are left out: they are for people only. */
  #labelsOf(options: CreateOptions, image: KnownImage): Record<string, string> {
    const { assignment, address, networkTask } = options;
    const { container } = assignment;
    const fits = ([name, value]: [string, string]) =>
      Buffer.byteLength(name) + Buffer.byteLength(value) <= LABEL_BYTES_MAX;
    const stop = stopSignalOf(container, image);
    return {
      ...Object.fromEntries(Object.entries(container.labels).filter(fits)),
      [LABELS.owner]: this.#parts.nodeId,
      [LABELS.task]: assignment.taskId,
      [LABELS.stack]: assignment.stack,
      [LABELS.service]: assignment.service,
      [LABELS.slot]: assignment.slot,
      [LABELS.revision]: String(assignment.revision),
      [NAME_LABEL]: containerNameOf(assignment),
      [IMAGE_LABEL]: image.id,
      [STOP_LABEL]: String(stop),
      ...(container.tty ? { [TTY_LABEL]: "true" } : {}),
      ...(address === undefined ? {} : { [LABELS.address]: address }),
      ...(networkTask === undefined ? {} : { [LABELS.networkTask]: networkTask }),
    };
  }

  async #removeSnapshot(taskId: TaskId): Promise<void> {
    const own = { snapshotter: SNAPSHOTTER, key: taskId };
    await gone(this.#parts.grpc.call(METHODS.removeSnapshot, own));
  }
}

/** Volumes that the image wants and nothing else is mounted at, as anonymous ones. */
function withImageVolumes({ mounts }: ContainerSpec, { config }: KnownImage): Mount[] {
  const isTaken = new Set(mounts.map(({ target }) => target));
  const wanted = Object.keys(config.config?.Volumes ?? {}).filter((path) => !isTaken.has(path));
  const anonymous = wanted.map((target) => ({
    type: "volume" as const,
    volume: "",
    target,
    readOnly: false,
    noCopy: false,
    external: false,
    driverOptions: {},
    labels: {},
  }));
  return [...mounts, ...anonymous];
}

function stopSignalOf({ stopSignal }: ContainerSpec, { config }: KnownImage): number {
  const number = signalNumberOf(stopSignal ?? (config.config?.StopSignal || "SIGTERM"));
  if (number !== undefined) return number;
  throw new OrchdError("invalid", `there is no signal "${stopSignal}" to stop with`);
}

function requireSources(mounts: readonly Mount[]): void {
  for (const mount of mounts) {
    if (mount.type !== "bind" || existsSync(mount.source)) continue;
    const message = `the mounted path ${mount.source} does not exist on the node`;
    throw new OrchdError("runtime", message);
  }
}

function requireInit(): string {
  const found = INITS.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const message = "`init: true` needs catatonit on the node (Debian: apt install catatonit)";
  throw new OrchdError("runtime", message);
}

/** What is not there any more is as good as removed. */
async function gone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}
