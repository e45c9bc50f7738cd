import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { Upkeep } from "../driver.ts";
import type { PodmanHttp } from "./http.ts";
import { isNeeded, unnamedFirst, type KnownImage } from "./needed-images.ts";
import { dropRotated, keepRotated } from "./kept-logs.ts";

const infoSchema = z.object({ store: z.object({ graphRoot: z.string() }) });
const imageSchema = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  RepoDigests: z.array(z.string()).nullish(),
  Created: z.number(),
});
const logPathSchema = z.object({
  HostConfig: z.object({ LogConfig: z.object({ Path: z.string() }) }),
});

/** What Podman keeps on the disk and nobody may need. */
export class PodmanUpkeep implements Upkeep {
  readonly #http: PodmanHttp;
  /** Where each container's log is, which does not change. */
  readonly #logPaths = new Map<string, string>();

  constructor(http: PodmanHttp) {
    this.#http = http;
  }

  async storagePath(): Promise<string> {
    return (await this.#http.json(infoSchema, "GET", "/info")).store.graphRoot;
  }

  async keepLogs(containerIds: readonly string[]): Promise<void> {
    for (const id of this.#logPaths.keys()) {
      if (!containerIds.includes(id)) this.#logPaths.delete(id);
    }
    for (const path of await this.#pathsOf(containerIds)) keepRotated(path);
  }

  async dropOldLogs(containerIds: readonly string[]): Promise<void> {
    for (const path of await this.#pathsOf(containerIds)) dropRotated(path);
  }

  async removeImages(keep: readonly string[], isEnough: () => Promise<boolean>): Promise<string[]> {
    const removed: string[] = [];
    for (const image of unnamedFirst(await this.#images())) {
      if (await isEnough()) break;
      if (isNeeded(image, keep)) continue;
      for (const name of image.references.length > 0 ? image.references : [image.id]) {
        if (await this.#remove(name)) removed.push(name);
      }
    }
    return removed;
  }

  /** The oldest first. */
  async #images(): Promise<KnownImage[]> {
    const images = await this.#http.json(z.array(imageSchema), "GET", "/images/json");
    return images
      .toSorted((a, b) => a.Created - b.Created)
      .map(({ Id, RepoTags, RepoDigests }) => ({
        id: Id,
        references: RepoTags ?? [],
        digests: RepoDigests ?? [],
      }));
  }

  /** Answers whether it went: one that a container uses stays, whoever made that. */
  async #remove(name: string): Promise<boolean> {
    try {
      await this.#http.send("DELETE", `/images/${encodeURIComponent(name)}`);
      return true;
    } catch (error) {
      if (error instanceof OrchdError && error.code !== "unreachable") return false;
      throw error;
    }
  }

  async #pathsOf(containerIds: readonly string[]): Promise<string[]> {
    const paths: string[] = [];
    for (const id of containerIds) {
      const path = this.#logPaths.get(id) ?? (await this.#findPath(id));
      if (path !== undefined) paths.push(path);
    }
    return paths;
  }

  async #findPath(id: string): Promise<string | undefined> {
    try {
      const found = await this.#http.json(logPathSchema, "GET", `/containers/${id}/json`);
      const path = found.HostConfig.LogConfig.Path;
      if (path === "") return undefined;
      this.#logPaths.set(id, path);
      return path;
    } catch (error) {
      // Removed meanwhile, with its log.
      if (error instanceof OrchdError && error.code === "notFound") return undefined;
      throw error;
    }
  }
}
