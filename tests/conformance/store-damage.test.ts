import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OrchdError } from "../../src/lib/errors.ts";
import { put } from "../../src/model/change.ts";
import { openAgentState } from "../../src/store/agent-state/agent-state.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { aStack } from "../builders.ts";

const PAGE_BYTES = 4096;

/** Each way in which a database file can be spoilt, done to a healthy one. */
const DAMAGES: [title: string, spoil: (path: string) => void][] = [
  ["is empty", (path) => fs.truncateSync(path, 0)],
  ["is cut within its first page", (path) => fs.truncateSync(path, 100)],
  ["is cut within a page", (path) => fs.truncateSync(path, 3 * PAGE_BYTES + 1)],
  ["is cut between pages", (path) => fs.truncateSync(path, 2 * PAGE_BYTES)],
  ["has its header overwritten", (path) => overwrite(path, 0, 64)],
  ["has a page overwritten", (path) => overwrite(path, 2 * PAGE_BYTES, PAGE_BYTES)],
  ["is not a database", (path) => fs.writeFileSync(path, "hello, world\n".repeat(1000))],
  ["is a database of something else", (path) => replaceWithForeign(path)],
  ["is a directory", (path) => replaceWithDirectory(path)],
];

/** Each way in which what was written last can be lost after a crash. */
const JOURNAL_DAMAGES: [title: string, spoil: (journal: string) => void][] = [
  ["is gone", (journal) => fs.rmSync(journal)],
  ["has its header overwritten", (journal) => overwrite(journal, 0, 32)],
  ["has its first frame overwritten", (journal) => overwrite(journal, 32, 64)],
  ["is cut in the middle", (journal) => fs.truncateSync(journal, fs.statSync(journal).size / 2)],
  // The very last frames may be of a commit that nobody was told of, and may be lost.
  ["has its second half overwritten", (journal) => overwriteSecondHalf(journal)],
];

let directory: string;
let path: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-damage-"));
  path = join(directory, "orchd.db");
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

for (const [owner, open] of [
  ["server", openServer],
  ["agent", openAgent],
] as const) {
  describe(`the file of the ${owner}`, () => {
    for (const [title, spoil] of DAMAGES) {
      test(`is refused and left alone when it ${title}`, async () => {
        await open(path);
        spoil(path);
        const before = contentOf(path);
        const error = await refusalOf(() => open(path));
        expect(error.code).toBe("damaged");
        expect(error.message).toStartWith(`${path} is damaged`);
        expect(error.message).toInclude("put a backup in its place, or move it away to");
        expect(error.message).toEndWith("running containers are not touched");
        expect(contentOf(path)).toEqual(before);
      });
    }

    test("is refused with its -wal, and both are left alone, after a crash", async () => {
      await open(path);
      spoilAfterCrash(path);
      const before = [path, `${path}-wal`].map(contentOf);
      const error = await refusalOf(() => open(path));
      expect(error.code).toBe("damaged");
      expect(error.message).toInclude(`: move it and ${path}-wal away, then put a backup`);
      expect([path, `${path}-wal`].map(contentOf)).toEqual(before);
      expect(fs.readdirSync(directory).sort()).toEqual(["orchd.db", "orchd.db-wal"]);
    });

    test("is refused when a newer version wrote it", async () => {
      await open(path);
      edit(
        path,
        "INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 99999999999999)",
      );
      const error = await refusalOf(() => open(path));
      expect(error.code).toBe("invalid");
      expect(error.message).toBe(`${path} was written by a newer orchd: start that version again`);
    });

    test("is not made anew while a piece of it is left", async () => {
      fs.writeFileSync(`${path}-wal`, "what was written last");
      const error = await refusalOf(() => open(path));
      expect(error.code).toBe("damaged");
      expect(fs.readdirSync(directory)).toEqual(["orchd.db-wal"]);
    });

    test("is made complete or not at all: a draft that was left is no hindrance", async () => {
      fs.writeFileSync(`${path}.new-1`, "half");
      await open(path);
      expect(fs.readdirSync(directory)).toEqual(["orchd.db"]);
    });

    test("cannot lie where a file is in the way of its directory", async () => {
      fs.writeFileSync(path, "a file");
      const error = await refusalOf(() => open(join(path, "orchd.db")));
      expect(error.code).toBe("invalid");
      expect(error.message).toBe(`${path} is not a directory: give another one with --data-dir`);
    });
  });
}

describe("the file of the server", () => {
  test("is refused with the table and key of a row that is not what was written", async () => {
    const rows = [
      `UPDATE stack SET body = '{"name":'`,
      `UPDATE stack SET body = '{"name":"shop"}'`,
      `UPDATE stack SET body = replace(body, 'shop', 'other')`,
      `UPDATE stack SET version = 1000`,
    ];
    for (const [i, statement] of rows.entries()) {
      const file = join(directory, `${i}.db`);
      await openServer(file);
      edit(file, statement);
      const error = await refusalOf(() => openServer(file));
      expect(error.message).toStartWith(`${file} is damaged in table stack, row "shop": `);
    }
  });

  for (const [title, spoil] of JOURNAL_DAMAGES) {
    test(`is refused after a crash when its -wal ${title}`, async () => {
      await crashAfterCommits(path);
      spoil(`${path}-wal`);
      const names = fs.readdirSync(directory);
      const before = names.map((name) => contentOf(join(directory, name)));
      const error = await refusalOf(() => openSqliteStore(path));
      expect(error.code).toBe("damaged");
      expect(error.message).toMatch(/its last changes, revisions \d+ to \d+ are missing/);
      expect(error.message).toInclude(`${path}-mark away, then put a backup in its place`);
      expect(fs.readdirSync(directory)).toEqual(names);
      expect(names.map((name) => contentOf(join(directory, name)))).toEqual(before);
    });
  }

  test("is opened after a crash that spoilt nothing", async () => {
    const acknowledged = await crashAfterCommits(path);
    const store = await openSqliteStore(path);
    expect(store.view().version).toBeGreaterThanOrEqual(acknowledged);
    await store.close();
    expect(fs.readdirSync(directory)).toEqual(["orchd.db"]);
  });

  test("is opened when it is a backup that was put in place as the refusal says", async () => {
    await openServer(path);
    fs.copyFileSync(path, `${path}.backup`);
    await crashAfterCommits(path);
    fs.rmSync(`${path}-wal`);
    await refusalOf(() => openSqliteStore(path));
    fs.rmSync(`${path}-mark`);
    fs.copyFileSync(`${path}.backup`, path);
    await openServer(path);
  });

  test("is opened with a mark that is spoilt, or of another cluster", async () => {
    await openServer(path);
    for (const text of ["{", '{"clusterId":"another","revision":1000}']) {
      fs.writeFileSync(`${path}-mark`, text);
      await openServer(path);
    }
  });

  test("is opened by one server at a time, and free again when that one closes", async () => {
    const first = await openSqliteStore(path);
    const error = await refusalOf(() => openSqliteStore(path));
    expect(error.code).toBe("conflict");
    expect(error.message).toStartWith(
      `another orchd server uses the data directory ${directory}: stop it, or`,
    );
    await first.commit([put.stack(aStack("still-works"))]);
    await first.close();
    await openServer(path);
  });

  test("keeps another process out", async () => {
    const script = join(import.meta.dir, "store-writer.ts");
    const other = Bun.spawn([process.execPath, script, path, "x"], { stdout: "pipe" });
    const reader = other.stdout.getReader();
    await reader.read();
    const error = await refusalOf(() => openSqliteStore(path));
    other.kill("SIGKILL");
    await other.exited;
    expect(error.code).toBe("conflict");
    await openServer(path);
  });
});

/** Makes the file with something in it, or opens it, and closes it again. */
async function openServer(file: string): Promise<void> {
  const store = await openSqliteStore(file);
  await store.commit([put.stack(aStack("shop"))]);
  await store.close();
}

/** Commits in another process and kills it; answers the last revision that it acknowledged. */
async function crashAfterCommits(file: string): Promise<number> {
  const script = join(import.meta.dir, "store-writer.ts");
  const writer = Bun.spawn([process.execPath, script, file, "x"], { stdout: "pipe" });
  const acknowledged: string[] = [];
  for await (const chunk of writer.stdout) {
    acknowledged.push(...new TextDecoder().decode(chunk).split("\n").filter(Boolean));
    if (acknowledged.length >= 5) break;
  }
  writer.kill("SIGKILL");
  await writer.exited;
  return acknowledged.length;
}

async function openAgent(file: string): Promise<void> {
  const state = openAgentState(file);
  state.close();
}

async function refusalOf(run: () => Promise<unknown>): Promise<OrchdError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof OrchdError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

function overwrite(file: string, offset: number, length: number): void {
  const descriptor = fs.openSync(file, "r+");
  fs.writeSync(descriptor, Buffer.alloc(length, 0xa5), 0, length, offset);
  fs.closeSync(descriptor);
}

function overwriteSecondHalf(file: string): void {
  const half = Math.floor(fs.statSync(file).size / 2);
  overwrite(file, half, half);
}

function edit(file: string, statement: string): void {
  const database = new Database(file);
  database.run(statement);
  database.close(true);
}

/** Leaves a commit in the -wal, as a crash does, and overwrites a page that it does not hold. */
function spoilAfterCrash(file: string): void {
  const database = new Database(file);
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  database.run("CREATE TABLE latest (text TEXT)");
  const [main, journal] = [fs.readFileSync(file), fs.readFileSync(`${file}-wal`)];
  database.close(true);
  fs.writeFileSync(file, main);
  fs.writeFileSync(`${file}-wal`, journal);
  overwrite(file, 2 * PAGE_BYTES, PAGE_BYTES);
}

function replaceWithForeign(file: string): void {
  fs.unlinkSync(file);
  const database = new Database(file);
  database.run("CREATE TABLE notes (text TEXT)");
  database.close(true);
}

function replaceWithDirectory(file: string): void {
  fs.unlinkSync(file);
  fs.mkdirSync(file);
}

function contentOf(file: string): Buffer | string[] {
  return fs.statSync(file).isDirectory() ? fs.readdirSync(file) : fs.readFileSync(file);
}
