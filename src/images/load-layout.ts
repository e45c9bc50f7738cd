import { z } from "zod";
import { isManifestType, parseJson } from "../core/oci/manifest.ts";
import {
  formatImageReference,
  type ImageReference,
  isDigest,
  parseImageReference,
  repositoryOf,
} from "../core/oci/reference.ts";
import { OrchdError } from "../lib/errors.ts";
import type { ImageStore } from "./image-store.ts";
import { type ArchiveFiles, refused } from "./archive-files.ts";

const IMAGES_MAX = 1024;
/** The whole name, as containerd and Docker write it. */
const CONTAINERD_NAME = "io.containerd.image.name";
/** The whole name as Podman writes it, or by the specification the tag alone. */
const NAME = "org.opencontainers.image.ref.name";

const indexSchema = z.object({
  manifests: z
    .array(
      z.object({
        mediaType: z.string().max(255),
        digest: z.string().refine(isDigest),
        size: z.int().min(0),
        annotations: z.record(z.string(), z.string().max(16_384)).optional(),
      }),
    )
    .max(IMAGES_MAX),
});

/** Takes the images of an OCI layout that have a name; an index may lack what is for others. */
export async function addLayoutImages(
  store: ImageStore,
  files: ArchiveFiles,
  index: string,
): Promise<string[]> {
  const parsed = indexSchema.safeParse(parseJson(index));
  if (!parsed.success) throw refused("its index.json makes no sense");
  const references: string[] = [];
  for (const { mediaType, digest, size, annotations } of parsed.data.manifests) {
    if (!isManifestType(mediaType)) {
      throw refused(`it holds ${JSON.stringify(mediaType.slice(0, 99))}, which is no image`);
    }
    const name = nameIn(annotations ?? {});
    if (name === undefined) continue;
    const path = `blobs/sha256/${digest.slice("sha256:".length)}`;
    const blob = files.require(path);
    if (blob.size !== size) throw refused(`the size of ${digest} is not as it says`);
    const bytes = (await files.bytes(path)) ?? new Uint8Array();
    const { tag = "latest" } = name;
    const repository = repositoryOf(name);
    await store.putManifest({ repository, tag, mediaType, bytes, mayLack: "children" });
    references.push(formatImageReference(name));
  }
  return references;
}

function nameIn(annotations: Record<string, string>): ImageReference | undefined {
  const whole = annotations[CONTAINERD_NAME] ?? annotations[NAME];
  // A tag alone names no image.
  if (whole === undefined || !/[/:]/.test(whole)) return undefined;
  const parsed = parseImageReference(whole);
  if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
  return parsed.value;
}
