import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { Upkeep } from "../driver.ts";
import type { PodmanHttp } from "../podman/http.ts";
import { dropRotated } from "../podman/kept-logs.ts";
import { isNeeded, unnamedFirst } from "../podman/needed-images.ts";
import type { OpenedDocker } from "./docker-service.ts";
import { listedImageSchema, namesIn } from "./docker-images.ts";

const logPathSchema = z.object({ LogPath: z.string().default("") });

/** What Docker keeps on the disk and nobody may need. */
export class DockerUpkeep implements Upkeep {
  readonly #http: PodmanHttp;
  readonly #rootDir: string;

  constructor({ http, rootDir }: OpenedDocker) {
    this.#http = http;
    this.#rootDir = rootDir;
  }

  storagePath(): Promise<string> {
    return Promise.resolve(this.#rootDir);
  }

  /** Docker does so itself, as its containers were made. */
  keepLogs(): Promise<void> {
    return Promise.resolve();
  }

  async dropOldLogs(containerIds: readonly string[]): Promise<void> {
    for (const id of containerIds) {
      const path = await this.#logPathOf(id);
      if (path !== "") dropRotated(path);
    }
  }

  async removeImages(keep: readonly string[], isEnough: () => Promise<boolean>): Promise<string[]> {
    const removed: string[] = [];
    for (const image of unnamedFirst(await this.#images())) {
      if (await isEnough()) break;
      if (isNeeded(image, keep)) continue;
      const isUnnamed = image.references.length === 0;
      const names = isUnnamed ? [...image.digests, image.id] : image.references;
      removed.push(...(await this.#remove(names)));
      // Where it is from is a name as well, and would keep it.
      if (!isUnnamed) await this.#remove(image.digests);
    }
    return removed;
  }

  /** The oldest first. */
  async #images() {
    const images = await this.#http.json(z.array(listedImageSchema), "GET", "/images/json");
    return images
      .toSorted((a, b) => a.Created - b.Created)
      .map(({ Id, RepoTags, RepoDigests }) => ({
        id: Id.replace(/^sha256:/, ""),
        references: namesIn(RepoTags),
        digests: namesIn(RepoDigests),
      }));
  }

  /** Answers which went: one that a container uses stays, whoever made that. */
  async #remove(names: readonly string[]): Promise<string[]> {
    const removed: string[] = [];
    for (const name of names) {
      try {
        await this.#http.send("DELETE", `/images/${encodeURIComponent(name)}`);
        removed.push(name);
      } catch (error) {
        if (!(error instanceof OrchdError) || error.code === "unreachable") throw error;
      }
    }
    return removed;
  }

  async #logPathOf(id: string): Promise<string> {
    try {
      return (await this.#http.json(logPathSchema, "GET", `/containers/${id}/json`)).LogPath;
    } catch (error) {
      // Removed meanwhile, with its log.
      if (error instanceof OrchdError && error.code === "notFound") return "";
      throw error;
    }
  }
}
