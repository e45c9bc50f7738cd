import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { Mount } from "../../model/container.ts";
import type { NodeId } from "../../model/ids.ts";
import type { NodeVolume } from "../../model/volume.ts";
import { LABELS } from "../driver.ts";
import type { PodmanHttp } from "../podman/http.ts";
import { nodeVolumeOf, pathOfVolume, volumeSchema, type Volume } from "../podman/volumes.ts";

const listedSchema = z.object({ Volumes: z.array(volumeSchema).nullish() });

/** Docker's volumes; what each call does is as in `podman/volumes.ts`. */
export class DockerVolumes {
  readonly #http: PodmanHttp;
  readonly #nodeId: NodeId;

  constructor(http: PodmanHttp, nodeId: NodeId) {
    this.#http = http;
    this.#nodeId = nodeId;
  }

  async ensure(mount: Extract<Mount, { type: "volume" }>): Promise<void> {
    if (mount.volume === "" || (await this.#find(mount.volume)) !== undefined) return;
    if (mount.external) {
      throw new OrchdError(
        "notFound",
        `the external volume ${mount.volume} does not exist on the node; ` +
          `make it with: docker volume create ${mount.volume}`,
      );
    }
    await this.#http.send("POST", "/volumes/create", {
      json: {
        Name: mount.volume,
        Driver: mount.driver ?? "local",
        DriverOpts: mount.driverOptions,
        Labels: { ...mount.labels, [LABELS.owner]: this.#nodeId },
      },
    });
  }

  async remove(name: string): Promise<void> {
    const found = await this.#find(name);
    if (found === undefined) return;
    if (found.Labels?.[LABELS.owner] !== this.#nodeId) {
      throw new OrchdError("conflict", `the volume ${name} was not made by orchd, so it is left`);
    }
    try {
      await this.#http.send("DELETE", `/volumes/${encodeURIComponent(name)}`);
    } catch (error) {
      // Somebody else removed it meanwhile.
      if (!(error instanceof OrchdError) || error.code !== "notFound") throw error;
    }
  }

  async list(): Promise<NodeVolume[]> {
    const { Volumes } = await this.#http.json(listedSchema, "GET", "/volumes");
    return (Volumes ?? []).map((volume) => nodeVolumeOf(volume, this.#nodeId));
  }

  async pathOf(name: string): Promise<string> {
    return pathOfVolume(name, await this.#find(name));
  }

  async #find(name: string): Promise<Volume | undefined> {
    try {
      return await this.#http.json(volumeSchema, "GET", `/volumes/${encodeURIComponent(name)}`);
    } catch (error) {
      // Not there: an expected answer.
      if (error instanceof OrchdError && error.code === "notFound") return undefined;
      throw error;
    }
  }
}
