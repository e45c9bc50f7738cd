import { describe, expect, test } from "bun:test";
import { put } from "../../../src/model/change.ts";
import { commitFresh } from "../../../src/server/commit-fresh.ts";
import type { Store } from "../../../src/store/store.ts";
import { aStack, aView } from "../../builders.ts";

/** A store in which somebody else is faster so many times. */
function aBusyStore(conflicts: number) {
  let commits = 0;
  const change = put.stack(aStack());
  const store: Store = {
    view: () => aView({}),
    commit: async () => {
      commits += 1;
      return commits <= conflicts
        ? { ok: false, conflict: change }
        : { ok: true, version: commits };
    },
    watch: () => () => {},
    close: async () => {},
  };
  return { store, change, commits: () => commits };
}

describe("a commit of what was planned on the newest view", () => {
  test("is planned again when somebody else was faster", async () => {
    const { store, change, commits } = aBusyStore(3);
    let plans = 0;
    await commitFresh(store, () => {
      plans += 1;
      return [change];
    });
    expect([plans, commits()]).toEqual([4, 4]);
  });

  test("gives up, to be tried later, when others are faster every time", async () => {
    const { store, change, commits } = aBusyStore(Number.POSITIVE_INFINITY);
    const error: unknown = await commitFresh(store, () => [change]).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "conflict", retryable: true });
    expect(commits()).toBe(10);
  });

  test("waits, when there is nothing to write, until what it rests on is durable", async () => {
    const { store, commits } = aBusyStore(0);
    await commitFresh(store, () => []);
    expect(commits()).toBe(1);
  });
});
