import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OrchdError } from "../../src/lib/errors.ts";
import { type Change, put } from "../../src/model/change.ts";
import { openAgentState } from "../../src/store/agent-state/agent-state.ts";
import { openSqliteStore, type SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { aStack, aStatus, anId } from "../builders.ts";
import { mount, mountProblem, mountTmpfs, unmount } from "./small-disk.ts";

// A real file system that is really full: a tmpfs of one megabyte, which takes root to mount.
const DISK = "size=1m,mode=0700";
const whyNot = mountProblem();
if (whyNot !== undefined) console.warn(`tests on a full disk are skipped: ${whyNot}`);

describe.skipIf(whyNot !== undefined)("on a small disk", () => {
  let disk: string;
  let path: string;
  beforeEach(() => {
    disk = fs.mkdtempSync(join(tmpdir(), "orchd-disk-"));
    path = join(disk, "server.db");
    mountTmpfs(disk, DISK);
  });
  afterEach(() => {
    unmount(disk);
    fs.rmdirSync(disk);
  });

  test("a commit that does not fit is refused with what was built upon it", async () => {
    const store = await openSqliteStore(path);
    const heard: number[] = [];
    store.watch(({ version }) => heard.push(version));
    await store.commit([put.stack(aStack("before"))]);
    fillUp(disk);
    const together = [store.commit([large("first")]), store.commit([large("second")])];
    expect(store.view().version).toBe(3);
    const results = await Promise.allSettled(together);
    expect(results.map(codeOf)).toEqual(["noSpace", "noSpace"]);
    expect(namesIn(store)).toEqual(["before"]);
    expect(store.view().version).toBe(1);
    expect(heard).toEqual([1]);
    await store.close();
  });

  test("commits work again when there is room, and nothing acknowledged is lost", async () => {
    const store = await openSqliteStore(path);
    fillUp(disk);
    const acknowledged = await commitUntilFull(store);
    fs.unlinkSync(join(disk, "ballast"));
    expect(await store.commit([large("after")])).toMatchObject({ ok: true });
    await store.close();
    const again = await openSqliteStore(path);
    expect(namesIn(again)).toEqual([...acknowledged, "after"].sort());
    await again.close();
  });

  test("a server that is started on a full disk says so, and leaves no half file", async () => {
    fillUp(disk);
    const error = await openSqliteStore(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "noSpace",
      message: `the disk that holds ${disk} is full: make room and try again`,
    });
    expect(fs.readdirSync(disk)).toEqual(["ballast"]);
    fs.unlinkSync(join(disk, "ballast"));
    await (await openSqliteStore(path)).close();
  });

  test("an existing state opens on a full disk", async () => {
    const store = await openSqliteStore(path);
    await store.commit([put.stack(aStack("shop"))]);
    await store.close();
    fillUp(disk);
    const again = await openSqliteStore(path);
    expect(namesIn(again)).toEqual(["shop"]);
    await again.close();
  });

  test("an agent that can't write keeps what it had", () => {
    const state = openAgentState(join(disk, "agent.db"));
    state.saveNodeId(anId("node"));
    fillUp(disk);
    const message = "x".repeat(4096);
    const statuses = Array.from({ length: 50 }, (_, i) => aStatus(`t${i}`, { message }));
    expect(() => state.saveStatus(statuses)).toThrow(/is full/);
    expect(state.statuses()).toEqual([]);
    fs.unlinkSync(join(disk, "ballast"));
    state.saveStatus(statuses);
    state.close();
    const again = openAgentState(join(disk, "agent.db"));
    expect(again.statuses()).toHaveLength(50);
    expect(again.loadNodeId()).toBe(anId("node"));
    again.close();
  });

  test("a directory that can't be written is refused in one sentence", async () => {
    mount("-o", "remount,ro", disk);
    const error = await openSqliteStore(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "forbidden",
      message: `${disk} cannot be written: give orchd a writable directory with --data-dir`,
    });
  });
});

/** A stack of about 100 KiB. */
function large(name: string): Change {
  return put.stack(aStack(name, { volumes: Array.from({ length: 400 }, () => "v".repeat(255)) }));
}

/** Answers the names of what was acknowledged. */
async function commitUntilFull(store: SqliteStore): Promise<string[]> {
  const acknowledged: string[] = [];
  for (let i = 0; i < 1000; i++) {
    const result = await store.commit([put.stack(aStack(`s${i}`))]).catch((e: unknown) => e);
    if (result instanceof OrchdError && result.code === "noSpace") return acknowledged;
    acknowledged.push(`s${i}`);
  }
  throw new Error("the disk never was full");
}

/** Leaves a few pages free, so that the disk becomes full within a commit. */
function fillUp(disk: string): void {
  const { bavail, bsize } = fs.statfsSync(disk);
  fs.writeFileSync(join(disk, "ballast"), Buffer.alloc(Math.max(0, bavail - 4) * bsize));
}

function namesIn(store: SqliteStore): string[] {
  return [...store.view().stacks.keys()].sort();
}

function codeOf(result: PromiseSettledResult<unknown>): unknown {
  if (result.status === "fulfilled") return "done";
  return result.reason instanceof OrchdError ? result.reason.code : result.reason;
}
