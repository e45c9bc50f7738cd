import { mkdir } from "node:fs/promises";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { Mount } from "../model/container.ts";

/** Makes directories of bind mounts that are to be made when they are missing, as Docker does. */
export async function makeSources(mounts: readonly Mount[]): Promise<void> {
  for (const mount of mounts) {
    if (mount.type !== "bind" || !mount.createSource) continue;
    try {
      await mkdir(mount.source, { recursive: true });
    } catch (cause) {
      // A file: it is what is mounted.
      if (systemCodeOf(cause) === "EEXIST") continue;
      const message = `the mounted path ${mount.source} could not be made`;
      throw new OrchdError("runtime", message, { cause });
    }
  }
}
