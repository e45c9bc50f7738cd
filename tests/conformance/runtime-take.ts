import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wireNameOf } from "../../src/core/oci/reference.ts";
import { serveRegistry } from "../../src/images/listen.ts";
import { loadArchive } from "../../src/images/load-archive.ts";
import type { Runtime } from "../../src/runtime/driver.ts";
import { aRegistry, openStore, quiet } from "../unit/images/rig.ts";

/** Gives a runtime the images of an archive under their own names, by way of a registry of ours. */
export async function takeArchive(runtime: Pick<Runtime, "takeImage">, path: string) {
  const dir = mkdtempSync(join(tmpdir(), "orchd-taken-"));
  const store = await openStore(dir);
  const listener = serveRegistry({ registry: aRegistry(store), log: quiet, port: 0 });
  try {
    await loadArchive(store, Bun.file(path).stream());
    for (const { repository, tag } of store.entries()) {
      if (tag === undefined) continue;
      const from = `${listener.address}/${wireNameOf(repository)}:${tag}`;
      await runtime.takeImage({ from, repository, tag });
    }
  } finally {
    await listener.close();
    rmSync(dir, { recursive: true });
  }
}
