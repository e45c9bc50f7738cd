import { formatImageReference } from "../core/oci/reference.ts";
import type { BundleImage } from "../model/bundle.ts";
import type { Blob } from "./blob-store.ts";
import type { ImageStore } from "./image-store.ts";
import { dockerList, gather, type DockerImage } from "./save-archive.ts";

/**
 * Images with all that they need, in the order in which it is to follow; of an index what is here.
 * @param have digests that the target has
 * @throws OrchdError `notFound` when one is not kept here, `damaged` when it is not whole
 */
export async function bundleImages(
  store: ImageStore,
  names: readonly string[],
  have: ReadonlySet<string>,
): Promise<{
  images: BundleImage[];
  blobs: Blob[];
  assumes: string[];
  docker: DockerImage[];
}> {
  const images = new Map<string, BundleImage>();
  const found = new Map<string, number>();
  for (const name of names) {
    const { entry, reference } = store.resolve(name);
    const { mediaType, digest, size } = entry;
    const whole = formatImageReference(reference);
    images.set(whole, { reference: whole, mediaType, digest, size });
    await gather(store, digest, found);
  }
  const all = [...found].map(([digest, size]) => ({ digest, size }));
  const blobs = all.filter(({ digest }) => !have.has(digest));
  const assumes = all.filter(({ digest }) => have.has(digest)).map(({ digest }) => digest);
  const docker = await dockerList(store, [...images.values()]);
  return { images: [...images.values()], blobs, assumes, docker };
}
