import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { put, remove } from "../../src/model/change.ts";
import type { Stack } from "../../src/model/stack.ts";
import type { Commit, Store } from "../../src/store/store.ts";
import {
  aCluster,
  anId,
  anItem,
  aNode,
  aService,
  aStack,
  aTask,
  aToken,
  anUpgrade,
  aVault,
} from "../builders.ts";

/** Opens the state that lies in a directory, or begins one there. */
export type MakeStore = (directory: string) => Promise<Store>;

/** What every store promises, whatever it is built on. */
export function storeConformance(name: string, makeStore: MakeStore): void {
  describe(`${name} store`, () => {
    let directory: string;
    let store: Store;
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), "orchd-store-"));
      store = await makeStore(directory);
    });
    afterEach(async () => {
      await store.close();
      rmSync(directory, { recursive: true });
    });
    const reopen = async () => {
      await store.close();
      store = await makeStore(directory);
    };
    commitTests(() => store);
    durabilityTests(() => store, reopen);
    identityTests(() => store);
    watchTests(() => store);
    writerTests(() => store, reopen);
  });
}

function commitTests(store: () => Store): void {
  test("an empty cluster has revision 0 and nothing in it", () => {
    expect(store().view().version).toBe(0);
    expect(store().view().stacks.size).toBe(0);
  });

  test("a commit is in the view when the call returns, with its revision as version", async () => {
    const done = store().commit([put.stack(aStack("shop"))]);
    expect(store().view().stacks.get("shop")?.version).toBe(1);
    expect(await done).toEqual({ ok: true, version: 1 });
  });

  test("a commit that was planned on an older version is refused whole", async () => {
    await store().commit([put.stack(aStack("shop"))]);
    const stale = put.stack(aStack("shop", { removing: true }));
    const result = await store().commit([put.stack(aStack("other")), stale]);
    expect(result).toEqual({ ok: false, conflict: stale });
    expect([...store().view().stacks.keys()]).toEqual(["shop"]);
    expect(store().view().stacks.get("shop")?.removing).toBe(false);
    expect(store().view().version).toBe(1);
  });

  test("of two writers that read the same version one wins", async () => {
    await store().commit([put.stack(aStack("shop"))]);
    const read = current(store(), "shop");
    const results = await Promise.all([
      store().commit([put.stack({ ...read, updatedAt: 1 })]),
      store().commit([put.stack({ ...read, updatedAt: 2 })]),
    ]);
    expect(results.map((result) => result.ok)).toEqual([true, false]);
    expect(current(store(), "shop").updatedAt).toBe(1);
  });

  test("deleting what has changed since is refused", async () => {
    await store().commit([put.stack(aStack("shop"))]);
    const read = current(store(), "shop");
    await store().commit([put.stack({ ...read, updatedAt: 2 })]);
    expect((await store().commit([remove.stack(read)])).ok).toBe(false);
    expect((await store().commit([remove.stack(current(store(), "shop"))])).ok).toBe(true);
    expect(store().view().stacks.size).toBe(0);
  });

  test("an empty commit makes no revision", async () => {
    expect(await store().commit([])).toEqual({ ok: true, version: 0 });
    expect(store().view().version).toBe(0);
  });

  test("a value that could not be read back is refused, and nothing changes", async () => {
    const broken = put.stack(aStack("../etc"));
    const commit = store().commit([put.stack(aStack("shop")), broken]);
    const error = await commit.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "internal" });
    expect(store().view().stacks.size).toBe(0);
  });
}

function identityTests(store: () => Store): void {
  test("there is one cluster at most: a second one is refused", async () => {
    const results = await Promise.all([
      store().commit([put.cluster(aCluster())]),
      store().commit([put.cluster(aCluster({ caKey: "another" }))]),
    ]);
    expect(results.map((result) => result.ok)).toEqual([true, false]);
    expect(store().view().cluster?.caKey).toBe("the CA's key");
  });

  test("a token that was revoked is gone", async () => {
    await store().commit([put.token(aToken("t1"))]);
    const [token] = store().view().tokens.values();
    if (token !== undefined) await store().commit([remove.token(token)]);
    expect(store().view().tokens.size).toBe(0);
  });
}

function durabilityTests(store: () => Store, reopen: () => Promise<void>): void {
  test("what was committed is there again, object by object, after reopening", async () => {
    const service = aService();
    const objects = [
      put.cluster(aCluster()),
      put.token(aToken("t1", { expiresAt: 5, usesMax: 2, uses: 1 })),
      put.node(aNode("n1", { labels: { "ünïcode \u0000\ud800": 'quote " \\' } })),
      put.stack(aStack("shop")),
      put.service(service),
      put.task(aTask(service, "t1")),
      put.vault(aVault()),
      put.upgrade(anUpgrade()),
      put.item(anItem()),
      put.content({ id: `${anId("pass")}.1`, sealed: "a".repeat(1000), version: 0 }),
    ];
    await store().commit(objects);
    await store().commit([put.stack(aStack("other"))]);
    await store().commit([remove.stack(current(store(), "other"))]);
    const before = snapshot(store());
    await reopen();
    expect(snapshot(store())).toEqual(before);
    expect(store().view().version).toBe(3);
  });

  test("closing waits for commits of the same turn", async () => {
    const pending = store().commit([put.stack(aStack("shop"))]);
    await reopen();
    expect((await pending).ok).toBe(true);
    expect(store().view().stacks.has("shop")).toBe(true);
  });

  test("a closed store takes no commit", async () => {
    await store().close();
    const commit = store().commit([put.stack(aStack("shop"))]);
    const error = await commit.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "internal" });
    await reopen();
  });
}

function watchTests(store: () => Store): void {
  test("watchers hear of each commit once, in order, with what it changed", async () => {
    const heard: Commit[] = [];
    store().watch((commit) => heard.push(commit));
    const first = store().commit([put.stack(aStack("shop"))]);
    const built = { ...current(store(), "shop"), updatedAt: 2 };
    await Promise.all([first, store().commit([put.stack(built)])]);
    await store().commit([remove.stack(current(store(), "shop"))]);
    expect(heard.map((commit) => commit.version)).toEqual([1, 2, 3]);
    const steps = heard.flatMap(({ applied }) => applied);
    expect(steps.map(({ before, after }) => [before?.version, after?.version])).toEqual([
      [undefined, 1],
      [1, 2],
      [2, undefined],
    ]);
  });

  test("a refused commit and an empty one are not heard of", async () => {
    const heard: Commit[] = [];
    store().watch((commit) => heard.push(commit));
    await store().commit([]);
    await store().commit([put.stack(aStack("shop", { version: 7 }))]);
    expect(heard).toEqual([]);
  });

  test("a watcher that has stopped hears nothing more", async () => {
    const heard: number[] = [];
    const stop = store().watch((commit) => heard.push(commit.version));
    await store().commit([put.stack(aStack("a"))]);
    stop();
    await store().commit([put.stack(aStack("b"))]);
    expect(heard).toEqual([1]);
  });

  test("a watcher may commit", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    store().watch(({ version }) => {
      if (version !== 1) return resolve();
      void store().commit([put.stack(aStack("second"))]);
    });
    await store().commit([put.stack(aStack("first"))]);
    await promise;
    expect(store().view().version).toBe(2);
  });
}

function writerTests(store: () => Store, reopen: () => Promise<void>): void {
  test("a thousand writers at once all succeed, and each finds its own again", async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `s${i}`);
    const write = async (name: string) => {
      const made = await store().commit([put.stack(aStack(name))]);
      const changed = { ...current(store(), name), updatedAt: 2 };
      return [made.ok, (await store().commit([put.stack(changed)])).ok];
    };
    const results = await Promise.all(names.map(write));
    expect(results.flat().filter((ok) => !ok)).toEqual([]);
    await reopen();
    expect(store().view().version).toBe(2000);
    expect(names.filter((name) => current(store(), name).updatedAt !== 2)).toEqual([]);
  });
}

function current(store: Store, name: string): Stack {
  const stack = store.view().stacks.get(name);
  if (stack === undefined) throw new Error(`no stack ${name}`);
  return stack;
}

function snapshot(store: Store) {
  const { cluster, vault, upgrade, tokens, nodes, stacks, services, tasks, items, contents } =
    store.view();
  const identity = { cluster, vault, upgrade, tokens: [...tokens] };
  return {
    ...identity,
    nodes: [...nodes],
    stacks: [...stacks],
    services: [...services],
    tasks: [...tasks],
    items: [...items],
    contents: [...contents],
  };
}
