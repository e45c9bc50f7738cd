import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { type Descriptor, DEPTH_MAX, type Manifest, parseManifest } from "../core/oci/manifest.ts";
import {
  formatImageReference,
  type ImageReference,
  isDigest,
  repositoryOf,
  tagOfDigest,
} from "../core/oci/reference.ts";
import type { ImageStore } from "./image-store.ts";
import type { LinkUse } from "./link-use.ts";
import { type ImageSource, Mirror, type SourceManifest } from "./mirror.ts";

export interface CopyOptions {
  store: ImageStore;
  source: ImageSource;
  clock: Clock;
  log: Log;
  from: ImageReference;
  /** What it is called here. */
  as: ImageReference;
  /** The use of this machine's link; absent means as far as it goes. */
  link?: LinkUse;
  /** `amd64`, `arm64` …, of an image for several kinds of machines; absent means all. */
  architectures?: ReadonlySet<string>;
}

/**
 * Brings an image from another store, to be kept: what has come stays where it breaks off, and the
 * image is there under its name once all of it is.
 * @returns what it is called here
 * @throws OrchdError `notFound`, `unauthorized`, `unreachable`, `damaged`, `invalid`, `noSpace`
 */
export async function copyImage(options: CopyOptions): Promise<string> {
  const { store, source, from, as } = options;
  const repository = repositoryOf(from);
  const wanted = from.digest ?? from.tag ?? "latest";
  const found = await source.manifest(repository, wanted);
  if (found === undefined) {
    const message = `${formatImageReference(from)} is not in its registry: check its name`;
    throw new OrchdError("notFound", message);
  }
  if (isDigest(wanted)) requireDigest(found, wanted);
  const bringing = new Bringing(options, repository);
  await bringing.parts(manifestIn(found), 0);
  const tag = as.tag ?? tagOfDigest(as.digest ?? wanted);
  const given = { repository: repositoryOf(as), tag, ...found, mayLack: "children" } as const;
  await store.putManifest(given);
  return formatImageReference({ host: as.host, path: as.path, tag });
}

class Bringing {
  readonly #options: CopyOptions;
  readonly #repository: string;
  readonly #mirror: Mirror;
  /** Manifests that came with all their parts. */
  readonly #brought = new Set<string>();

  constructor(options: CopyOptions, repository: string) {
    const { store, source, clock, log, link } = options;
    this.#options = options;
    this.#repository = repository;
    this.#mirror = new Mirror({ store, source, clock, log, ...(link && { link }) });
  }

  async parts(manifest: Manifest, depth: number): Promise<void> {
    if (depth > DEPTH_MAX) {
      throw new OrchdError("invalid", `indexes are nested deeper than ${DEPTH_MAX} levels`);
    }
    await Promise.all(manifest.blobs.map((blob) => this.#blob(blob)));
    const wanted = this.#wanted(manifest.children);
    for (const child of wanted) {
      if (this.#brought.has(child.digest)) continue;
      const found = await this.#options.source.manifest(this.#repository, child.digest);
      if (found === undefined) throw missing(child.digest);
      requireDigest(found, child.digest);
      await this.parts(manifestIn(found), depth + 1);
      await this.#keep(found, child.digest);
      this.#brought.add(child.digest);
    }
  }

  /** For which machines it is kept; all where none of them is the cluster's. */
  #wanted(children: readonly Descriptor[]): readonly Descriptor[] {
    const { architectures } = this.#options;
    if (architectures === undefined) return children;
    const own = children.filter(({ platform }) => {
      return platform !== undefined && architectures.has(platform.architecture);
    });
    return own.length === 0 ? children : own;
  }

  async #blob({ digest }: Descriptor): Promise<void> {
    const { store } = this.#options;
    if ((await store.sizeOf(digest)) !== undefined) return;
    await this.#mirror.bringBlob(this.#repository, digest);
    if ((await store.sizeOf(digest)) === undefined) throw missing(digest);
  }

  async #keep({ bytes }: SourceManifest, digest: string): Promise<void> {
    const { store } = this.#options;
    const draft = await store.blobs.draft();
    try {
      await draft.write(bytes);
      await store.commit(draft, digest);
    } finally {
      await draft.discard();
    }
  }
}

function manifestIn({ bytes, mediaType }: SourceManifest): Manifest {
  const parsed = parseManifest(new TextDecoder().decode(bytes), mediaType);
  if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
  return parsed.value;
}

function requireDigest({ bytes }: SourceManifest, digest: string): void {
  const found = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
  if (found === digest) return;
  throw new OrchdError("damaged", `the registry gave ${found}, and not ${digest}`);
}

function missing(digest: string): OrchdError {
  return new OrchdError("notFound", `the registry has not all of the image: ${digest} is missing`);
}
