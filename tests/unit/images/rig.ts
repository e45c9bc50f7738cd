import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeTar, type TarEntry } from "../../../scripts/tar.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { lineLog } from "../../../src/lib/log.ts";
import { ImageStore } from "../../../src/images/image-store.ts";
import { Registry } from "../../../src/images/registry.ts";
import {
  DOCKER_CONFIG,
  DOCKER_LAYER,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../../src/core/oci/manifest.ts";

/** What images are made for here: that of this machine. */
const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** A store in a directory of its own, which is gone afterwards. */
export async function withStore<T>(
  run: (store: ImageStore, dir: string) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "orchd-images-"));
  try {
    return await run(await openStore(dir), dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export const quiet = lineLog(
  () => {},
  () => "",
);

export function openStore(dir: string, reserveBytes = 0): Promise<ImageStore> {
  return ImageStore.open(dir, { clock: systemClock, log: quiet, reserveBytes });
}

export function aRegistry(store: ImageStore): Registry {
  return new Registry({ store, clock: systemClock, log: quiet });
}

export interface SampleImage {
  layer: Uint8Array;
  config: Uint8Array;
  manifest: Uint8Array;
}

/** An image of one layer that differs by its text. */
export function anImage(text = "hello", mediaType = OCI_MANIFEST): SampleImage {
  return imageOf(Buffer.from(`a layer: ${text}`), mediaType);
}

/** An image of this one layer. */
export function imageOf(layer: Uint8Array, mediaType = OCI_MANIFEST): SampleImage {
  const rootfs = { type: "layers", diff_ids: [sha256(layer)] };
  const config = Buffer.from(JSON.stringify({ os: "linux", architecture: ARCHITECTURE, rootfs }));
  const of = (type: string, bytes: Uint8Array) => ({
    mediaType: type,
    digest: sha256(bytes),
    size: bytes.length,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: of(DOCKER_CONFIG, config),
      layers: [of(DOCKER_LAYER, layer)],
    }),
  );
  return { layer, config, manifest };
}

export function file(name: string, content: Uint8Array | string): TarEntry {
  return { name, type: "file", mode: 0o644, content: Buffer.from(content) };
}

/** As `docker save` writes it. */
export function dockerArchive(tags: string[], { layer, config }: SampleImage = anImage()) {
  const list = [{ Config: "config.json", RepoTags: tags, Layers: ["layer.tar"] }];
  return writeTar([
    file("layer.tar", layer),
    file("config.json", config),
    file("manifest.json", JSON.stringify(list)),
  ]);
}

export function blobFile(bytes: Uint8Array, digest = sha256(bytes)): TarEntry {
  return file(`blobs/sha256/${digest.slice(7)}`, bytes);
}

/** As `skopeo copy … oci-archive:` writes it. */
export function ociArchive(name: string, image: SampleImage = anImage()): Uint8Array {
  const { layer, config, manifest } = image;
  const entry = {
    mediaType: OCI_MANIFEST,
    digest: sha256(manifest),
    size: manifest.length,
    annotations: { "org.opencontainers.image.ref.name": name },
  };
  return writeTar([
    file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
    file("index.json", JSON.stringify({ schemaVersion: 2, manifests: [entry] })),
    ...[layer, config, manifest].map((bytes) => blobFile(bytes)),
  ]);
}

/** An index with these manifests. */
export function anIndex(manifests: readonly Uint8Array[]): Uint8Array {
  const children = manifests.map((bytes, i) => ({
    mediaType: OCI_MANIFEST,
    digest: sha256(bytes),
    size: bytes.length,
    platform: { os: "linux", architecture: ["amd64", "arm64", "riscv64"][i] ?? "s390x" },
  }));
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: children };
  return Buffer.from(JSON.stringify(index));
}

export function streamOf(bytes: Uint8Array, pieceBytes = 1000): AsyncIterable<Uint8Array> {
  return (async function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      yield new Uint8Array(bytes.subarray(at, at + pieceBytes));
    }
  })();
}

/** Puts an image in a store, under a tag of a repository. */
export async function give(
  store: ImageStore,
  repository: string,
  tag: string,
  image: SampleImage = anImage(),
): Promise<string> {
  for (const bytes of [image.layer, image.config]) await giveBlob(store, bytes);
  const mediaType = OCI_MANIFEST;
  const put = { repository, tag, mediaType, bytes: new Uint8Array(image.manifest) };
  return (await store.putManifest(put)).digest;
}

export async function giveBlob(store: ImageStore, bytes: Uint8Array): Promise<void> {
  const draft = await store.blobs.draft();
  await draft.write(bytes);
  await store.commit(draft);
}

export { OCI_MANIFEST };
