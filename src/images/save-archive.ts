import { BLOCK_BYTES, paddingOf } from "../core/archive/block.ts";
import { headOfFile } from "../core/archive/plain-file.ts";
import { parseJson } from "../core/oci/manifest.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import { OrchdError } from "../lib/errors.ts";
import type { ImageStore } from "./image-store.ts";

const encoder = new TextEncoder();

/** An image as `docker save` lists it. */
export interface DockerImage {
  Config: string;
  RepoTags: string[];
  Layers: string[];
}

/** What is to be written, known before its first byte is. */
export interface ImageArchive {
  pieces: AsyncIterable<Uint8Array>;
  references: string[];
}

/**
 * Images as an OCI archive: a tar of an image layout, each blob once, as `podman load`,
 * `docker load` and `orchd image load` take it.
 * @throws OrchdError `notFound` when one is not kept here
 */
export async function saveArchive(
  store: ImageStore,
  names: readonly string[],
): Promise<ImageArchive> {
  const manifests: object[] = [];
  const references: string[] = [];
  const blobs = new Map<string, number>();
  for (const name of names) {
    const { entry, reference } = store.resolve(name);
    const { mediaType, digest, size } = entry;
    const tagged = { ...reference, tag: reference.tag ?? "latest" };
    const whole = formatImageReference({ host: tagged.host, path: tagged.path, tag: tagged.tag });
    const annotations = {
      "io.containerd.image.name": whole,
      "org.opencontainers.image.ref.name": whole,
    };
    manifests.push({ mediaType, digest, size, annotations });
    references.push(formatImageReference(reference));
    await gather(store, digest, blobs);
  }
  const index = { schemaVersion: 2, manifests };
  return { pieces: archiveOf(store, JSON.stringify(index), blobs), references };
}

/** All blobs of an image with their sizes; of an index what is here. */
export async function gather(
  store: ImageStore,
  digest: string,
  blobs: Map<string, number>,
): Promise<void> {
  const size = await store.sizeOf(digest);
  if (size === undefined || blobs.has(digest)) return;
  blobs.set(digest, size);
  const manifest = await store.manifest(digest);
  for (const blob of manifest?.blobs ?? []) {
    const found = await store.sizeOf(blob.digest);
    if (found === undefined) {
      const message = `the image lacks ${blob.digest}: load or pull it again`;
      throw new OrchdError("damaged", message);
    }
    blobs.set(blob.digest, found);
  }
  for (const child of manifest?.children ?? []) await gather(store, child.digest, blobs);
}

async function* archiveOf(
  store: ImageStore,
  index: string,
  blobs: ReadonlyMap<string, number>,
): AsyncGenerator<Uint8Array> {
  yield* smallFile("oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  yield* smallFile("index.json", index);
  const { manifests } = parseJson(index) as { manifests: Named[] };
  const docker = await dockerList(
    store,
    manifests.map(({ digest, annotations }) => {
      return { digest, reference: annotations["io.containerd.image.name"] ?? "" };
    }),
  );
  if (docker.length > 0) yield* smallFile("manifest.json", JSON.stringify(docker));
  for (const [digest, size] of blobs) {
    yield headOfFile(pathOf(digest), size);
    yield* store.blobs.read(digest);
    yield new Uint8Array(paddingOf(size));
  }
  yield new Uint8Array(2 * BLOCK_BYTES);
}

interface Named {
  digest: string;
  annotations: Record<string, string>;
}

/** The list that `docker load` of before version 25 looks for; it knows no indexes. */
export async function dockerList(
  store: ImageStore,
  images: readonly { digest: string; reference: string }[],
): Promise<DockerImage[]> {
  const list: DockerImage[] = [];
  for (const { digest, reference } of images) {
    const manifest = await store.manifest(digest);
    if (manifest?.config === undefined) continue;
    const [Config = "", ...Layers] = manifest.blobs.map((one) => pathOf(one.digest));
    list.push({ Config, RepoTags: [reference], Layers });
  }
  return list;
}

function pathOf(digest: string): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`;
}

function* smallFile(name: string, text: string): Generator<Uint8Array> {
  const bytes = encoder.encode(text);
  yield headOfFile(name, bytes.length);
  yield bytes;
  yield new Uint8Array(paddingOf(bytes.length));
}
