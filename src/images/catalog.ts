import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { isDigest, isTag } from "../core/oci/reference.ts";
import { syncFolderOf } from "./blob-store.ts";

const ENTRIES_MAX = 20_000;
const LAYOUT = JSON.stringify({ imageLayoutVersion: "1.0.0" });

const NAME = "org.opencontainers.image.ref.name";
const REPOSITORY = "orchd.repository";
const TAG = "orchd.tag";
const AT = "orchd.at";
const COPY = "orchd.copy";

/** A manifest or index that a repository has, with one of its tags or without any. */
export interface Entry {
  /** `docker.io/library/web` */
  repository: string;
  tag?: string;
  digest: string;
  mediaType: string;
  size: number;
  /** Milliseconds since 1970. */
  at: number;
  /** Fetched from another store, where it can be had again. Others are never removed unasked. */
  isCopy: boolean;
}

const storedSchema = z.object({
  mediaType: z.string().max(255),
  digest: z.string().refine(isDigest),
  size: z.int().min(0),
  annotations: z.record(z.string(), z.string()),
});
const indexSchema = z.object({
  schemaVersion: z.literal(2),
  manifests: z.array(storedSchema).max(ENTRIES_MAX),
});

/**
 * Which repository has which manifests and tags: the file `index.json` of an OCI image layout, so
 * that what is kept here can be read by other programs too. It is small, held in memory, and
 * written whole for each change: as a draft among those of the blobs, flushed, and put in its
 * place at once.
 */
export class Catalog {
  readonly #path: string;
  #entries: readonly Entry[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(dir: string) {
    this.#path = join(dir, "index.json");
  }

  /** A file that makes no sense is put aside and told: the blobs stay, and images come again. */
  static async open(dir: string, log: Log): Promise<Catalog> {
    const catalog = new Catalog(dir);
    await fs.writeFile(join(dir, "oci-layout"), LAYOUT, { mode: 0o600 });
    catalog.#entries = await catalog.#load(log);
    return catalog;
  }

  entries(): readonly Entry[] {
    return this.#entries;
  }

  /** What a repository has under a tag or a digest. */
  find(repository: string, reference: string): Entry | undefined {
    const isBy = isDigest(reference) ? "digest" : "tag";
    return this.#entries.find((one) => one.repository === repository && one[isBy] === reference);
  }

  /** In the order of their text. */
  tags(repository: string): string[] {
    const own = this.#entries.filter((one) => one.repository === repository);
    return own.flatMap(({ tag }) => tag ?? []).sort();
  }

  /** Alone with the entries: nobody else changes them before `work` has ended. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work);
    this.#turn = next.catch(() => {});
    return next;
  }

  /**
   * Takes other entries in place of all; durable when it resolves. To be called by whoever is alone
   * with them.
   * @throws OrchdError `noSpace`, `conflict` when there are too many
   */
  async replace(entries: readonly Entry[]): Promise<void> {
    if (entries.length > ENTRIES_MAX) {
      const message = `there are ${ENTRIES_MAX} images and tags: remove some with orchd image rm`;
      throw new OrchdError("conflict", message);
    }
    const draft = join(this.#path, "../drafts", randomUUID());
    const text = JSON.stringify({ schemaVersion: 2, manifests: entries.map(storedOf) });
    try {
      const file = await fs.open(draft, "wx", 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await fs.rename(draft, this.#path);
      await syncFolderOf(this.#path);
    } catch (cause) {
      await fs.rm(draft, { force: true });
      if (systemCodeOf(cause) !== "ENOSPC") throw cause;
      throw new OrchdError("noSpace", "the disk is full: make room for images there", { cause });
    }
    this.#entries = entries;
  }

  async #load(log: Log): Promise<Entry[]> {
    let text: string;
    try {
      text = await fs.readFile(this.#path, "utf8");
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return [];
      throw error;
    }
    try {
      return indexSchema.parse(JSON.parse(text)).manifests.map(entryOf);
    } catch {
      // Which of its words make no sense helps nobody.
      const aside = `${this.#path}.damaged`;
      await fs.rename(this.#path, aside);
      log.error(`the list of images was damaged and is ${aside} now: load the images again`);
      return [];
    }
  }
}

function storedOf({ repository, tag, digest, mediaType, size, at, isCopy }: Entry) {
  return {
    mediaType,
    digest,
    size,
    annotations: {
      ...(tag === undefined ? {} : { [NAME]: `${repository}:${tag}`, [TAG]: tag }),
      [REPOSITORY]: repository,
      [AT]: String(at),
      ...(isCopy ? { [COPY]: "true" } : {}),
    },
  };
}

function entryOf({ mediaType, digest, size, annotations }: z.infer<typeof storedSchema>): Entry {
  const { [REPOSITORY]: repository, [TAG]: tag, [AT]: at, [COPY]: copy } = annotations;
  if (repository === undefined || (tag !== undefined && !isTag(tag))) {
    throw new OrchdError("damaged", "an entry names no repository");
  }
  return {
    repository,
    ...(tag === undefined ? {} : { tag }),
    digest,
    mediaType,
    size,
    at: Number(at ?? 0),
    isCopy: copy === "true",
  };
}
