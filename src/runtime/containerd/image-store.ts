import { OrchdError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { systemRandom } from "../../lib/random.ts";
import type { ImageSummary } from "../../model/session.ts";
import type { ImageIdentity } from "../driver.ts";
import { ContentStore } from "./content.ts";
import { isCode } from "./errors.ts";
import type { ContainerdGrpc } from "./grpc.ts";
import {
  type Descriptor,
  type ImageConfig,
  imageConfigSchema,
  manifestSchema,
  MEDIA,
  parseDocument,
} from "./image-documents.ts";
import { digestIn, idIn, keptNameOf, repositoryOf } from "./image-names.ts";
import { type ImageRecord, METHODS } from "./methods.ts";
import { chainIdOf, SNAPSHOTTER, unpackLayers } from "./unpack.ts";

/** Content without a name is collected, but not while a lease of so long holds it. */
const LEASE_MS = 7_200_000;
/** On an image: its unpacked bytes, and under which digests its registry gives it. */
const SIZE_LABEL = "orchd.size";
const DIGESTS_LABEL = "orchd.digests";
const DOCUMENTS_KEPT = 1000;

/** An image with what it says of itself. */
export interface KnownImage {
  name: string;
  /** Of its configuration, `sha256:…`. */
  id: string;
  digests: string[];
  sizeBytes: number;
  config: ImageConfig;
  /** The snapshot that has all of its layers. */
  chainId: string;
}

/** An image whose layers are in the content store, before it has a name. */
export interface NewImage {
  name: string;
  config: Uint8Array;
  layers: Descriptor[];
  /** As its registry gave it. */
  manifest: Uint8Array;
  /** Under which its registry gives it, the most general first. */
  digests: readonly string[];
}

/** The images of orchd's namespace. */
export class ImageStore {
  readonly #grpc: ContainerdGrpc;
  readonly content: ContentStore;
  /** By the digest of a manifest, which never means another image. */
  readonly #known = new Map<string, Pick<KnownImage, "id" | "config" | "chainId">>();

  constructor(grpc: ContainerdGrpc) {
    this.#grpc = grpc;
    this.content = new ContentStore(grpc);
  }

  /** By its name, by a digest of its registry's, or by its id; undefined where it is not here. */
  async find(reference: string): Promise<KnownImage | undefined> {
    const id = idIn(reference);
    const digest = digestIn(reference);
    if (id === undefined) {
      const record = await this.#get(keptNameOf(reference));
      if (record !== undefined) return this.#look(record);
      if (digest === undefined) return undefined;
    }
    const repository = repositoryOf(keptNameOf(reference));
    for (const image of await this.list()) {
      if (id !== undefined && image.id === id) return image;
      const isSame = repositoryOf(image.name) === repository;
      if (digest !== undefined && isSame && image.digests.includes(digest)) return image;
    }
    return undefined;
  }

  async identity(reference: string): Promise<ImageIdentity | undefined> {
    const found = await this.find(reference);
    return found && { id: found.id.replace("sha256:", ""), digests: found.digests };
  }

  /** Every image, once for each of its names. */
  async list(): Promise<KnownImage[]> {
    const { images } = await this.#grpc.call(METHODS.listImages, {});
    const found = await Promise.all(images.map((record) => this.#look(record)));
    return found.filter((image) => image !== undefined);
  }

  async summaries(): Promise<ImageSummary[]> {
    const byId = new Map<string, ImageSummary>();
    for (const { id, name, sizeBytes, config } of await this.list()) {
      const known = byId.get(id);
      if (known !== undefined) known.references.push(name);
      else byId.set(id, { id, references: [name], sizeBytes, createdAt: createdAtOf(config) });
    }
    return [...byId.values()];
  }

  /** Unpacks an image and gives it its name. */
  async add(image: NewImage, lease: string): Promise<void> {
    const config = parseDocument(imageConfigSchema, image.config);
    if (config === undefined) {
      throw new OrchdError("runtime", "the image's configuration makes no sense");
    }
    const diffIds = config.rootfs.diff_ids ?? [];
    const bytes = await unpackLayers(this.#grpc, image.layers, diffIds, lease);
    const snapshot = `containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`;
    const labels = diffIds.length === 0 ? {} : { [snapshot]: chainIdOf(diffIds) };
    const configBlob = await this.content.writeBytes(image.config, { lease, labels });
    const target = await this.content.writeBytes(image.manifest, {
      lease,
      // Layers are needed no more once they are unpacked: they would be on the disk twice.
      labels: { "containerd.io/gc.ref.content.config": configBlob.digest },
    });
    const mediaType = parseDocument(manifestSchema, image.manifest)?.mediaType ?? MEDIA.manifest;
    await this.#name(image.name, {
      target: { ...target, mediaType },
      labels: { [SIZE_LABEL]: String(bytes), [DIGESTS_LABEL]: image.digests.join(",") },
    });
  }

  async remove(name: string): Promise<void> {
    try {
      await this.#grpc.call(METHODS.deleteImage, { name, sync: true });
    } catch (error) {
      // Somebody else removed it meanwhile.
      if (!isCode(error, "notFound")) throw error;
    }
  }

  /** Keeps what is made with it from being collected, until it is done. */
  async withLease<T>(use: (lease: string) => Promise<T>): Promise<T> {
    const id = `orchd-${newId(systemRandom)}`;
    const expires = new Date(Date.now() + LEASE_MS).toISOString();
    const labels = { "containerd.io/gc.expire": expires };
    await this.#grpc.call(METHODS.createLease, { id, labels });
    try {
      return await use(id);
    } finally {
      await this.#grpc.call(METHODS.deleteLease, { id }).catch(() => {
        // containerd is away: the lease ends by itself.
      });
    }
  }

  async #get(name: string): Promise<ImageRecord | undefined> {
    try {
      return (await this.#grpc.call(METHODS.getImage, { name })).image;
    } catch (error) {
      // Not here: an expected answer.
      if (isCode(error, "notFound")) return undefined;
      throw error;
    }
  }

  async #name(name: string, image: Omit<ImageRecord, "name">): Promise<void> {
    try {
      await this.#grpc.call(METHODS.createImage, { image: { name, ...image } });
    } catch (error) {
      if (!isCode(error, "conflict")) throw error;
      await this.#grpc.call(METHODS.updateImage, { image: { name, ...image } });
    }
  }

  /** What an image says; undefined for one that was not made by orchd, or is just being removed. */
  async #look(record: ImageRecord): Promise<KnownImage | undefined> {
    const { digest } = record.target;
    const known = this.#known.get(digest) ?? (await this.#readDocuments(digest));
    if (known === undefined) return undefined;
    if (this.#known.size >= DOCUMENTS_KEPT) this.#known.clear();
    this.#known.set(digest, known);
    // No registry has what is named so, wherever it came from.
    const isLocal = record.name.startsWith("localhost/");
    const digests = isLocal ? "" : (record.labels[DIGESTS_LABEL] ?? "");
    return {
      ...known,
      name: record.name,
      digests: digests === "" ? [] : digests.split(","),
      sizeBytes: Number(record.labels[SIZE_LABEL] ?? 0),
    };
  }

  async #readDocuments(digest: string) {
    try {
      const manifest = parseDocument(manifestSchema, await this.content.read(digest));
      if (manifest === undefined) return undefined;
      const id = manifest.config.digest;
      const config = parseDocument(imageConfigSchema, await this.content.read(id));
      if (config === undefined) return undefined;
      return { id, config, chainId: chainIdOf(config.rootfs.diff_ids ?? []) };
    } catch (error) {
      if (isCode(error, "notFound")) return undefined;
      throw error;
    }
  }
}

/** `linux/arm64`; undefined for an image that does not say. */
export function platformOf({ os, architecture }: ImageConfig): string | undefined {
  return os === "" || architecture === "" ? undefined : `${os}/${architecture}`;
}

export function createdAtOf({ created }: ImageConfig): number {
  return Math.max(0, Date.parse(created ?? "") || 0);
}

export function imageMissing(reference: string): OrchdError {
  return new OrchdError("notFound", `image ${reference} is not on this node`);
}
