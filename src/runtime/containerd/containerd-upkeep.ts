import { dirname } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import { taskIdSchema } from "../../model/ids.ts";
import type { Upkeep } from "../driver.ts";
import { dropRotated } from "../podman/kept-logs.ts";
import { isNeeded } from "../podman/needed-images.ts";
import type { ContainerFiles } from "./container-files.ts";
import type { ContainerdGrpc } from "./grpc.ts";
import { createdAtOf, type ImageStore } from "./image-store.ts";
import { repositoryOf } from "./image-names.ts";
import { logPathOf } from "./log-keeper.ts";
import { METHODS } from "./methods.ts";
import { SNAPSHOTTER } from "./unpack.ts";

/** What containerd and this driver keep on the disk and nobody may need. */
export class ContainerdUpkeep implements Upkeep {
  readonly #grpc: ContainerdGrpc;
  readonly #images: ImageStore;
  readonly #files: ContainerFiles;

  constructor(grpc: ContainerdGrpc, images: ImageStore, files: ContainerFiles) {
    this.#grpc = grpc;
    this.#images = images;
    this.#files = files;
  }

  async storagePath(): Promise<string> {
    const filters = [`id==${SNAPSHOTTER}`];
    const { plugins } = await this.#grpc.call(METHODS.plugins, { filters });
    const root = plugins[0]?.exports["root"];
    if (root !== undefined) return dirname(root);
    throw new OrchdError("runtime", "containerd does not say where it keeps its images");
  }

  /** The log keeper keeps them as it goes. */
  keepLogs(): Promise<void> {
    return Promise.resolve();
  }

  dropOldLogs(containerIds: readonly string[]): Promise<void> {
    for (const id of containerIds) {
      const taskId = taskIdSchema.safeParse(id).data;
      if (taskId !== undefined) dropRotated(logPathOf(this.#files.pathOf(taskId)));
    }
    return Promise.resolve();
  }

  /** What has no name is collected by containerd itself. */
  async removeImages(keep: readonly string[], isEnough: () => Promise<boolean>): Promise<string[]> {
    const { containers } = await this.#grpc.call(METHODS.listContainers, {});
    const inUse = new Set(containers.map(({ image }) => image));
    const removed: string[] = [];
    const images = await this.#images.list();
    for (const image of images.toSorted((a, b) => createdAtOf(a.config) - createdAtOf(b.config))) {
      if (await isEnough()) break;
      const repository = repositoryOf(image.name);
      const known = {
        id: image.id.replace("sha256:", ""),
        references: [image.name],
        digests: image.digests.map((digest) => `${repository}@${digest}`),
      };
      if (inUse.has(image.name) || isNeeded(known, keep)) continue;
      await this.#images.remove(image.name);
      removed.push(image.name);
    }
    return removed;
  }
}
