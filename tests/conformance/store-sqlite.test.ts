import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { put } from "../../src/model/change.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { storeConformance } from "./store.ts";
import { aStack } from "../builders.ts";

storeConformance("sqlite", (directory) => openSqliteStore(join(directory, "server.db")));

const KILLS = 10;
const DEADLINE_MS = 20_000;

describe("sqlite store under fire", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = fs.mkdtempSync(join(tmpdir(), "orchd-store-"));
    path = join(directory, "server.db");
  });
  afterEach(() => fs.rmSync(directory, { recursive: true }));

  test(
    "no acknowledged commit is lost when the server is killed at any moment",
    async () => {
      const random = seededRandom("kill");
      const acknowledged: string[] = [];
      for (let kill = 0; kill < KILLS; kill++) {
        acknowledged.push(...(await writeUntilKilled(path, `k${kill}`, randomBelow(random, 60))));
      }
      const store = await openSqliteStore(path);
      const lost = acknowledged.filter((name) => !store.view().stacks.has(name));
      await store.close();
      expect(lost).toEqual([]);
      expect(acknowledged.length).toBeGreaterThan(KILLS);
    },
    DEADLINE_MS,
  );

  test("commits of one turn share a transaction", async () => {
    const store = await openSqliteStore(path);
    const names = Array.from({ length: 500 }, (_, i) => `s${i}`);
    await Promise.all(names.map((name) => store.commit([put.stack(aStack(name))])));
    // Alone each would write at least two pages of 4 KiB.
    expect(fs.statSync(`${path}-wal`).size).toBeLessThan(500 * 4096);
    await store.close();
  });

  test("opening, reading and closing a healthy database writes nothing", async () => {
    const made = await openSqliteStore(path);
    await made.commit([put.stack(aStack("shop"))]);
    await made.close();
    const before = { stat: fs.statSync(path), content: fs.readFileSync(path) };
    const store = await openSqliteStore(path);
    expect(store.view().stacks.size).toBe(1);
    expect(fs.statSync(`${path}-wal`).size).toBe(0);
    await store.close();
    expect(fs.statSync(path).mtimeMs).toBe(before.stat.mtimeMs);
    expect(fs.readFileSync(path).equals(before.content)).toBe(true);
    expect(fs.readdirSync(directory)).toEqual(["server.db"]);
  });

  test("only root can read the state", async () => {
    const nested = join(directory, "data", "server.db");
    const store = await openSqliteStore(nested);
    await store.commit([put.stack(aStack("shop"))]);
    const modes = [join(directory, "data"), nested, `${nested}-wal`].map(modeOf);
    await store.close();
    expect(modes).toEqual(["700", "600", "600"]);
  });

  test("the cluster keeps its id", async () => {
    const first = await openSqliteStore(path);
    await first.close();
    const second = await openSqliteStore(path);
    await second.close();
    expect(second.clusterId).toBe(first.clusterId);
  });
});

/** Runs a writer until it has acknowledged `rounds` times more; answers what it acknowledged. */
async function writeUntilKilled(path: string, prefix: string, rounds: number): Promise<string[]> {
  const script = join(import.meta.dir, "store-writer.ts");
  const writer = Bun.spawn([process.execPath, script, path, prefix], { stderr: "inherit" });
  const decoder = new TextDecoder();
  let text = "";
  let chunks = 0;
  for await (const chunk of writer.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (chunks++ === rounds) writer.kill("SIGKILL");
  }
  await writer.exited;
  // The last line may be cut.
  return text.split("\n").slice(0, -1);
}

function modeOf(path: string): string {
  return (fs.statSync(path).mode & 0o777).toString(8);
}
