import type { Member } from "../core/archive/member-reader.ts";
import type { ArchivedBlob } from "../core/oci/docker-archive.ts";
import { MANIFEST_BYTES_MAX } from "../core/oci/manifest.ts";
import { OrchdError } from "../lib/errors.ts";
import type { ImageStore } from "./image-store.ts";

const LINKS_MAX = 16;

/** What an archive held, by its paths: everything is among the blobs by then. */
export class ArchiveFiles {
  readonly #store: ImageStore;
  readonly #files = new Map<string, ArchivedBlob>();
  readonly #links = new Map<string, string>();

  constructor(store: ImageStore) {
    this.#store = store;
  }

  add(path: string, blob: ArchivedBlob): void {
    this.#files.set(path, blob);
  }

  link({ path, target }: Member): void {
    this.#links.set(path, target);
  }

  /** Links are followed, as `docker save` makes them of layers that are there twice. */
  find(path: string): ArchivedBlob | undefined {
    let at = path.replace(/^\.\//, "");
    for (let i = 0; i < LINKS_MAX && this.#links.has(at); i++) at = this.#links.get(at) ?? at;
    return this.#files.get(at);
  }

  /** @throws OrchdError `invalid` when it is not there */
  require(path: string): ArchivedBlob {
    const found = this.find(path);
    if (found !== undefined) return found;
    throw refused(`${JSON.stringify(path.slice(0, 200))} is missing in it`);
  }

  /** The text of a small file; undefined when it is not there. */
  async text(path: string): Promise<string | undefined> {
    return (await this.bytes(path))?.toString();
  }

  /** A small file; undefined when it is not there. */
  async bytes(path: string): Promise<Buffer | undefined> {
    const found = this.find(path);
    if (found === undefined) return undefined;
    const bytes = await this.#store.blobs.readSmall(found.digest, MANIFEST_BYTES_MAX);
    if (bytes === undefined) throw refused(`${JSON.stringify(path)} is far too large`);
    return bytes;
  }
}

export function refused(why: string, cause?: unknown): OrchdError {
  return new OrchdError("invalid", `the archive is refused: ${why}`, { cause });
}
