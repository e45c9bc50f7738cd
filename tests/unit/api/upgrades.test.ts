import { describe, expect, test } from "bun:test";
import { put } from "../../../src/model/change.ts";
import type { UpgradeStatus } from "../../../src/model/upgrade.ts";
import { aNode, anUpgrade } from "../../builders.ts";
import { anApi, EXECUTABLE, LineReader } from "./fixture.ts";

const [n1, n2] = [aNode("n1", { orchdVersion: "2.0.0" }), aNode("n2")];
const UPGRADE = anUpgrade({
  executables: [EXECUTABLE],
  nodes: [
    { id: n1.id, state: "done", since: 0 },
    { id: n2.id, state: "waiting", since: 0 },
  ],
});
const begin = (body: unknown) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

async function anUpgradeApi(isThere = true) {
  const api = await anApi({ nodes: [n1, n2] });
  if (isThere) await api.store.commit([put.upgrade(UPGRADE)]);
  api.deps.upgrades.isConnected = (id) => id !== n2.id;
  return api;
}

describe("upgrades", () => {
  test("tell of each node, and which one is away", async () => {
    const { app } = await anUpgradeApi();
    const status = (await (await app.request("/v1/upgrade")).json()) as UpgradeStatus;
    expect(status).toMatchObject({ run: "u1", to: "2.0.0", state: "running" });
    expect(status.nodes).toEqual([
      { id: n1.id, node: "n1", state: "done", version: "2.0.0", isServer: false },
      { id: n2.id, node: "n2", state: "away", version: "0.1.0", isServer: false },
    ]);
  });

  test("are not there before the first one", async () => {
    const { app } = await anUpgradeApi(false);
    expect((await app.request("/v1/upgrade")).status).toBe(404);
    expect((await app.request("/v1/upgrade/progress")).status).toBe(404);
  });

  test("begin as they are asked for, and end when they are canceled", async () => {
    const { app, calls } = await anUpgradeApi();
    const asked = { to: "2.0.0", nodes: ["n1"], parallel: 2 };
    expect((await app.request("/v1/upgrade", begin(asked))).status).toBe(202);
    expect((await app.request("/v1/upgrade", { method: "DELETE" })).status).toBe(200);
    expect(calls).toEqual([
      ["upgrades.begin", { ...asked, labels: {}, withinMs: 120_000, force: false }],
      ["upgrades.cancel"],
    ]);
  });

  const hostile: [string, unknown][] = [
    ["nobody at once", { parallel: 0 }],
    ["no time", { withinMs: 1 }],
    ["no node", { nodes: [] }],
    ["labels that are none", { labels: ["zone"] }],
    ["a version of any length", { to: "1".repeat(1000) }],
    ["nothing", null],
  ];
  test.each(hostile)("are refused for %s", async (_what, body) => {
    const { app, calls } = await anUpgradeApi();
    expect((await app.request("/v1/upgrade", begin(body))).status).toBe(400);
    expect(calls).toEqual([]);
  });

  test("tell of each change until they are over", async () => {
    const { app, store, clock } = await anUpgradeApi();
    const lines = new LineReader(await app.request("/v1/upgrade/progress"));
    expect(await lines.next()).toMatchObject({ state: "running" });
    const { upgrade } = store.view();
    if (upgrade === undefined) throw new Error("there is an upgrade");
    await store.commit([put.upgrade({ ...upgrade, state: "canceled" })]);
    clock.advance(50);
    expect(await lines.rest()).toMatchObject([{ state: "canceled" }]);
  });
});

describe("executables", () => {
  test("are kept byte for byte, and listed", async () => {
    const { app, calls } = await anUpgradeApi();
    const sent = await app.request("/v1/executables", { method: "POST", body: "bytes" });
    expect([sent.status, await sent.json()]).toEqual([201, EXECUTABLE]);
    expect(calls).toEqual([["upgrades.receive", "bytes"]]);
    expect(await (await app.request("/v1/executables")).json()).toEqual([EXECUTABLE]);
    expect((await app.request("/v1/executables", { method: "POST" })).status).toBe(400);
  });

  test("alone are taken of a bundle", async () => {
    const { app, calls } = await anUpgradeApi();
    const path = "/v1/bundles?executablesOnly=true";
    await app.request(path, { method: "POST", body: "a bundle" });
    expect(calls).toEqual([
      ["applyBundle", "a bundle", { trust: undefined, executablesOnly: true }],
    ]);
  });
});
