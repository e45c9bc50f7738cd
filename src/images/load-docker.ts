import {
  type ArchivedImage,
  manifestOfArchived,
  parseArchivedImages,
} from "../core/oci/docker-archive.ts";
import { parseImageReference, repositoryOf } from "../core/oci/reference.ts";
import { OrchdError } from "../lib/errors.ts";
import type { ImageStore } from "./image-store.ts";
import { type ArchiveFiles, refused } from "./archive-files.ts";

/** Takes the images that `manifest.json` of a docker-archive lists. */
export async function addDockerImages(
  store: ImageStore,
  files: ArchiveFiles,
  list: string,
): Promise<string[]> {
  const images = parseArchivedImages(list);
  if (!images.ok) throw new OrchdError("invalid", images.problem);
  const references: string[] = [];
  for (const image of images.value) {
    const manifest = await manifestOf(files, image);
    for (const name of image.references) {
      const parsed = parseImageReference(name);
      if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
      const { tag = "latest" } = parsed.value;
      const bytes = new TextEncoder().encode(manifest);
      await store.putManifest({ repository: repositoryOf(parsed.value), tag, bytes });
      references.push(name);
    }
  }
  if (references.length > 0) return references;
  throw refused("its images have no names: save them with one, as podman save NAME does");
}

async function manifestOf(files: ArchiveFiles, image: ArchivedImage): Promise<string> {
  const config = files.require(image.config);
  const layers = image.layers.map((path) => files.require(path));
  const text = (await files.text(image.config)) ?? "";
  const manifest = manifestOfArchived(text, config, layers);
  if (!manifest.ok) throw new OrchdError("invalid", manifest.problem);
  return manifest.value;
}
