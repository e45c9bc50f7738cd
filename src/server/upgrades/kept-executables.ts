import { MarkReader } from "../../core/upgrade/build-mark.ts";
import { OrchdError } from "../../lib/errors.ts";
import { sortedBy } from "../../lib/order.ts";
import { ORCHD_REPOSITORY, putExecutable } from "../../images/executables.ts";
import type { ImageStore } from "../../images/image-store.ts";
import { EXECUTABLE_BYTES_MAX } from "../../model/bundle.ts";
import { type Executable, executableSchema } from "../../model/upgrade.ts";

/** The executables of orchd that the site keeps, by version and platform. */
export async function keptExecutables(store: ImageStore): Promise<Executable[]> {
  const found: Executable[] = [];
  for (const { repository, tag, digest } of store.entries()) {
    if (repository !== ORCHD_REPOSITORY || tag === undefined) continue;
    const manifest = await store.manifest(digest);
    const blob = manifest?.blobs.at(-1);
    const parsed = executableSchema.safeParse({
      version: manifest?.annotations?.["orchd.version"],
      platform: manifest?.annotations?.["orchd.platform"],
      digest: blob?.digest,
      sizeBytes: blob?.size,
    });
    // People may push anything to a registry, under this name too.
    if (parsed.success) found.push(parsed.data);
  }
  return sortedBy(found, ({ version, platform }) => `${version} ${platform}`);
}

/**
 * Keeps an executable as it comes, once it is known to be one of orchd.
 * @throws OrchdError `invalid` when it is none, `tooLarge`, `noSpace`
 */
export async function receiveExecutable(
  store: ImageStore,
  source: AsyncIterable<Uint8Array>,
): Promise<Executable> {
  const draft = await store.blobs.draft();
  try {
    const reader = new MarkReader();
    let failure: OrchdError | undefined;
    for await (const piece of source) {
      // Who is still sending hears of a refusal only once everything is sent.
      if (failure !== undefined) continue;
      if (draft.bytes + piece.length > EXECUTABLE_BYTES_MAX) {
        failure = new OrchdError("tooLarge", "no executable of orchd is so large");
        continue;
      }
      reader.push(piece);
      await draft.write(piece);
    }
    if (failure !== undefined) throw failure;
    const mark = reader.finish();
    if (!mark.ok) {
      throw new OrchdError("invalid", `the executable is refused: ${mark.problem}`);
    }
    const { version, platform } = mark.value;
    const { digest, size } = await store.commit(draft);
    await putExecutable(store, { version, platform, digest, size });
    return { version, platform, digest, sizeBytes: size };
  } finally {
    await draft.discard();
  }
}
