import { messageOf, OrchdError } from "../../lib/errors.ts";
import { pullError } from "../podman/images.ts";
import type { TakenImage } from "../driver.ts";
import { digestOf } from "./content.ts";
import {
  type Descriptor,
  indexSchema,
  isFor,
  isIndex,
  manifestSchema,
  MEDIA,
  ownPlatform,
  parseDocument,
} from "./image-documents.ts";
import { digestIn, keptNameOf, repositoryOf } from "./image-names.ts";
import type { ImageStore } from "./image-store.ts";
import { Registry } from "./registry.ts";

/**
 * Fetches an image from its registry; one without a registry in its name is Docker Hub's.
 * @throws OrchdError `notFound` for images that no registry has, `noSpace`, else `runtime`
 */
export async function pullImage(
  images: ImageStore,
  reference: string,
  platform = ownPlatform(),
): Promise<void> {
  const name = keptNameOf(reference);
  if (name.startsWith("localhost/")) {
    throw new OrchdError(
      "notFound",
      `image ${reference} is not on this node, and localhost/ images are in no registry; ` +
        `load it with: orchd image load`,
    );
  }
  await pullAs(images, name, { name, shown: reference, platform });
}

/**
 * Fetches an image from a registry of this machine, under a name of its own.
 * @throws OrchdError `notFound`, `noSpace`, else `runtime`
 */
export async function takeImage(
  images: ImageStore,
  { from, repository, tag, platform = ownPlatform() }: TakenImage,
): Promise<void> {
  const name = keptNameOf(`${repository}:${tag}`);
  await pullAs(images, keptNameOf(from), { name, shown: name, platform });
}

interface Wanted {
  name: string;
  /** What people call it. */
  shown: string;
  platform: string;
}

async function pullAs(images: ImageStore, from: string, wanted: Wanted): Promise<void> {
  try {
    await pull(images, from, wanted);
  } catch (error) {
    if (error instanceof OrchdError && error.code === "unreachable") throw error;
    throw pullError(wanted.shown, messageOf(error));
  }
}

async function pull(images: ImageStore, from: string, { name, platform }: Wanted): Promise<void> {
  const registry = new Registry(repositoryOf(from));
  const top = await registry.document(digestIn(from) ?? from.slice(repositoryOf(from).length + 1));
  const digests = [digestOf(top.bytes)];
  let manifestBytes = top.bytes;
  if (isIndex(top) || parseDocument(indexSchema, top.bytes) !== undefined) {
    const chosen = chooseManifest(top.bytes, platform);
    manifestBytes = (await registry.document(chosen.digest)).bytes;
    digests.push(chosen.digest);
  }
  const manifest = parseDocument(manifestSchema, manifestBytes);
  if (manifest === undefined) throw new OrchdError("runtime", "its manifest makes no sense");
  const config = await registry.bytes(manifest.config);
  await images.withLease(async (lease) => {
    for (const layer of manifest.layers) {
      const expected = layer.digest;
      if (await images.content.has(expected)) continue;
      await images.content.write(await registry.blob(layer), { lease, expected });
    }
    const layers = manifest.layers.map(ociLayer);
    await images.add({ name, config, layers, manifest: manifestBytes, digests }, lease);
  });
}

function chooseManifest(bytes: Uint8Array, platform: string): Descriptor {
  const { manifests = [] } = parseDocument(indexSchema, bytes) ?? {};
  const found =
    manifests.find((manifest) => isFor(manifest, platform)) ??
    manifests.find((manifest) => isFor(manifest, platform.split("/").slice(0, 2).join("/")));
  if (found !== undefined) return found;
  throw new OrchdError("runtime", "no matching manifest");
}

/** Docker's own names of layers mean the same as the OCI's. */
function ociLayer({ mediaType, digest, size }: Descriptor): Descriptor {
  const ofDocker = mediaType.startsWith("application/vnd.docker.image.rootfs");
  const isZipped = mediaType.endsWith("gzip");
  return {
    mediaType: !ofDocker ? mediaType : isZipped ? MEDIA.layerGzip : MEDIA.layer,
    digest,
    size,
  };
}
