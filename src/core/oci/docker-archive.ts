import { z } from "zod";
import { isDigest, parseImageReference, formatImageReference } from "./reference.ts";
import type { Parsed } from "../../lib/parsed.ts";
import { DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, LAYERS_MAX, parseJson } from "./manifest.ts";

/** What a file of an archive holds. */
export interface ArchivedBlob {
  digest: string;
  size: number;
  /** Whether it is compressed by gzip. */
  isGzip: boolean;
}

/** One image of a docker-archive: what `docker save` and `podman save` write. */
export interface ArchivedImage {
  /** In full. */
  references: string[];
  /** Path of its configuration in the archive. */
  config: string;
  /** Paths of its layers, the lowest first. */
  layers: string[];
}

const IMAGES_MAX = 1024;
const pathSchema = z.string().min(1).max(4096);
const listSchema = z
  .array(
    z.object({
      Config: pathSchema,
      RepoTags: z.array(z.string().max(1024)).max(IMAGES_MAX).nullish(),
      Layers: z.array(pathSchema).max(LAYERS_MAX).nullish(),
    }),
  )
  .max(IMAGES_MAX);
const configSchema = z.object({
  rootfs: z.object({ diff_ids: z.array(z.string().refine(isDigest)).max(LAYERS_MAX).nullish() }),
});

/** What `manifest.json` of a docker-archive lists. */
export function parseArchivedImages(text: string): Parsed<ArchivedImage[]> {
  const parsed = listSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    return { ok: false, problem: "the archive is refused: its manifest.json makes no sense" };
  }
  const images: ArchivedImage[] = [];
  for (const { Config, RepoTags, Layers } of parsed.data) {
    const references: string[] = [];
    for (const name of RepoTags ?? []) {
      const reference = parseImageReference(name);
      if (!reference.ok) return reference;
      references.push(formatImageReference(reference.value));
    }
    images.push({ references, config: Config, layers: Layers ?? [] });
  }
  return { ok: true, value: images };
}

/**
 * The manifest of an archived image, which the archive does not have: that of Docker's schema 2,
 * with the files of the archive as they are.
 * @param config the configuration's text, which names each layer by the digest of its content
 */
export function manifestOfArchived(
  config: string,
  configBlob: ArchivedBlob,
  layers: readonly ArchivedBlob[],
): Parsed<string> {
  const parsed = configSchema.safeParse(parseJson(config));
  if (!parsed.success) {
    return { ok: false, problem: "the archive is refused: a configuration in it makes no sense" };
  }
  const ids = parsed.data.rootfs.diff_ids ?? [];
  // What is compressed has another digest than its content, and whoever unpacks it compares.
  const isAsSaid = layers.every(({ digest, isGzip }, i) => isGzip || digest === ids[i]);
  if (ids.length !== layers.length || !isAsSaid) {
    const message = "its layers are not those that its configuration names";
    return { ok: false, problem: `the archive is refused: ${message}` };
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: DOCKER_MANIFEST,
    config: { mediaType: DOCKER_CONFIG, digest: configBlob.digest, size: configBlob.size },
    layers: layers.map(({ digest, size, isGzip }) => ({
      mediaType: isGzip ? `${DOCKER_LAYER}.gzip` : DOCKER_LAYER,
      digest,
      size,
    })),
  };
  return { ok: true, value: JSON.stringify(manifest) };
}
