import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBelow, seededRandom, type Random } from "../../src/lib/random.ts";
import { put } from "../../src/model/change.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { storeConformance } from "./store.ts";
import { aStack } from "../builders.ts";

storeConformance("sqlite", (directory) => openSqliteStore(join(directory, "server.db")));

/** `STORE_KILLS=200 bun test …`: the full count takes half a minute of two cores. */
const KILLS = Number(process.env["STORE_KILLS"] ?? 40);
const MS_PER_KILL = 2000;
/** Side by side: starting a process takes the time. */
const FILES = 4;
const MIGRATIONS = join(import.meta.dir, "../../src/store/migrations");

describe("sqlite store under fire", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = fs.mkdtempSync(join(tmpdir(), "orchd-store-"));
    path = join(directory, "server.db");
  });
  afterEach(() => fs.rmSync(directory, { recursive: true }));

  test(
    `has what it acknowledged, and nothing by half, after each of ${KILLS} kills at random`,
    async () => {
      const random = seededRandom("kill");
      const script = await writerScript(directory);
      const killed = Array.from({ length: FILES }, (_, i) =>
        killOver(script, join(directory, `${i}.db`), random.split(String(i))),
      );
      expect((await Promise.all(killed)).flat()).toEqual([]);
    },
    KILLS * MS_PER_KILL,
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

/** The writer as one file, which starts many times as fast as it does from its sources. */
async function writerScript(directory: string): Promise<string> {
  const source = join(import.meta.dir, "store-writer.ts");
  const built = await Bun.build({ entrypoints: [source], target: "bun" });
  const [output] = built.outputs;
  if (output === undefined) throw new Error("the writer was not built");
  const script = join(directory, "writer.js");
  await Bun.write(script, output);
  fs.symlinkSync(MIGRATIONS, join(directory, "migrations"));
  return script;
}

/** Kills writers of one file, one after the other; answers all that was wrong after each kill. */
async function killOver(script: string, path: string, random: Random): Promise<string[]> {
  const wrong: string[] = [];
  const acknowledged: string[] = [];
  for (let kill = 0; kill < KILLS / FILES; kill++) {
    const prefix = `k${kill}`;
    const written = await writeUntilKilled(script, path, prefix, randomBelow(random, 20));
    if (written.length === 0) wrong.push(`${prefix} wrote nothing`);
    acknowledged.push(...written);
    wrong.push(...(await wrongIn(path, acknowledged)).map((what) => `${prefix}: ${what}`));
  }
  return wrong;
}

async function wrongIn(path: string, acknowledged: readonly string[]): Promise<string[]> {
  const store = await openSqliteStore(path);
  const has = new Set(store.view().stacks.keys());
  await store.close();
  const lost = acknowledged.filter((name) => !has.has(name));
  const half = [...has].filter((name) => !name.endsWith("-twin") && !has.has(`${name}-twin`));
  const database = new Database(path, { readonly: true });
  const integrity = JSON.stringify(database.query("PRAGMA integrity_check").all());
  database.close();
  const isWhole = integrity === '[{"integrity_check":"ok"}]';
  return [
    ...lost.map((name) => `${name} is lost`),
    ...half.map((name) => `${name} is there by half`),
    ...(isWhole ? [] : [integrity]),
  ];
}

/** Runs a writer until it acknowledged so many times; answers the names of what it did. */
async function writeUntilKilled(
  script: string,
  path: string,
  prefix: string,
  rounds: number,
): Promise<string[]> {
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
