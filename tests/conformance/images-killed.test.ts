import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../src/lib/random.ts";
import { openStore, sha256 } from "../unit/images/rig.ts";

const KILLS = 12;

test("a store that is killed at any moment is whole, and has what it said it has", async () => {
  const dir = mkdtempSync(join(tmpdir(), "orchd-killed-"));
  const random = seededRandom("images-killed");
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      const loaded = await loadUntilKilled(dir, random.next());
      const store = await openStore(dir);
      if (loaded >= 0) expect(store.tags("localhost/web")).toContain(String(loaded));
      expect(readdirSync(dir).filter((name) => name.includes("damaged"))).toEqual([]);
      for (const digest of await store.blobs.list()) {
        expect(sha256(readFileSync(store.blobs.pathOf(digest)))).toBe(digest);
      }
      for (const { digest } of store.entries()) {
        const manifest = await store.manifest(digest);
        const sizes = await Promise.all(
          (manifest?.blobs ?? []).map((blob) => store.blobs.sizeOf(blob.digest)),
        );
        expect(sizes).toEqual((manifest?.blobs ?? [undefined]).map((blob) => blob?.size));
      }
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

/** Answers the last image that the writer said it had loaded; -1 for none. */
async function loadUntilKilled(dir: string, at: number): Promise<number> {
  const writer = join(import.meta.dir, "images-writer.ts");
  const child = spawn(process.execPath, [writer, dir], { stdio: ["ignore", "pipe", "inherit"] });
  let loaded = -1;
  let left = 1 + Math.floor(at * 8);
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    for (const [, round] of text.matchAll(/loaded (\d+)/g)) {
      loaded = Number(round);
      if (--left > 0) continue;
      // In the middle of whatever comes next, which differs from kill to kill.
      const rest = Math.floor(at * 997) % 40;
      spinFor(rest);
      child.kill("SIGKILL");
    }
  });
  await new Promise((resolve) => child.on("close", resolve));
  return loaded;
}

function spinFor(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) continue;
}
