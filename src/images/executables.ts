import { OCI_MANIFEST } from "../core/oci/manifest.ts";
import { type BuildMark, MarkReader } from "../core/upgrade/build-mark.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Blob } from "./blob-store.ts";
import type { ImageStore } from "./image-store.ts";

/** Where executables of orchd are among the images: a repository that no registry has. */
export const ORCHD_REPOSITORY = "executables.orchd/orchd";
const EXECUTABLE_TYPE = "application/vnd.orchd.executable";
/** OCI image specification 1.1, manifest.md: the config of what is no image. */
const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";
const EMPTY = new TextEncoder().encode("{}");

/** The tag of an executable: a plus sign, which versions may have, is none of a tag. */
export function executableTag(version: string, platform: string): string {
  return `${version.replaceAll("+", "_")}-${platform.replace("/", "-")}`;
}

/**
 * Keeps an executable that is among the blobs, as an artifact: nodes get it as they get layers.
 * @returns whether it is new, or another one than before
 */
export async function putExecutable(
  store: ImageStore,
  { version, platform, digest, size }: Blob & { version: string; platform: string },
): Promise<boolean> {
  const draft = await store.blobs.draft();
  await draft.write(EMPTY);
  const config = await store.commit(draft);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType: EXECUTABLE_TYPE,
    config: { mediaType: EMPTY_TYPE, digest: config.digest, size: config.size },
    layers: [{ mediaType: EXECUTABLE_TYPE, digest, size }],
    annotations: { "orchd.version": version, "orchd.platform": platform },
  };
  const tag = executableTag(version, platform);
  const before = store.find(ORCHD_REPOSITORY, tag)?.digest;
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  const entry = await store.putManifest({ repository: ORCHD_REPOSITORY, tag, bytes });
  return entry.digest !== before;
}

/**
 * What the executable with this digest says of itself.
 * @throws OrchdError `invalid` when it is none of orchd
 */
export async function readMark(store: ImageStore, digest: string): Promise<BuildMark> {
  const reader = new MarkReader();
  for await (const piece of store.blobs.read(digest)) reader.push(piece);
  const mark = reader.finish();
  if (mark.ok) return mark.value;
  throw new OrchdError("invalid", `the executable is refused: ${mark.problem}`);
}
