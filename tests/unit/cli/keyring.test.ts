import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { Server } from "../../../src/server/server.ts";
import { FakeIo, run } from "./fake-io.ts";

let server: Server;
let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "orchd-keyring-"));
  server = await Server.open({
    dataDir: join(dir, "data"),
    runDir: join(dir, "run"),
    runtime: "fake",
    agent: false,
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});

const keyring = (argv: string[], input = "") =>
  run(["keyring", ...argv, "--socket", server.socketPath], new FakeIo({ input }));
const client = () => ApiClient.onSocket(server.socketPath);

async function keys(): Promise<string[]> {
  return (await client().keyring(true)).map(({ key = "" }) => key);
}

describe("orchd keyring", () => {
  test("lists fingerprints, and keys only when asked to", async () => {
    const [key = ""] = await keys();
    const listed = await keyring(["ls"]);
    expect(listed).toMatchObject({ code: 0 });
    expect(listed.out).not.toContain(key);
    expect((await keyring(["ls", "--json"])).out).not.toContain(key);
    expect((await keyring(["ls", "--show"])).out).toContain(key);
    expect(await keyring(["show"])).toMatchObject({ code: 0, out: `${key}\n` });
  });

  test("rotates: installs a key, uses it, removes the old one", async () => {
    const [old = ""] = await keys();
    const installed = await keyring(["install"]);
    expect(installed).toMatchObject({ code: 0 });
    const fingerprint = installed.out.trim();
    const [first, next = ""] = await keys();
    expect(first).toBe(old);
    expect(await keyring(["use", fingerprint])).toMatchObject({ code: 0 });
    expect(await keys()).toEqual([next, old]);
    expect(await keyring(["remove", old])).toMatchObject({ code: 0 });
    expect(await keys()).toEqual([next]);
  });

  test("takes a key of somebody else from a pipe, once", async () => {
    const key = `${"b".repeat(42)}g=`;
    const first = await keyring(["install", "-"], `${key}\n`);
    expect(first).toMatchObject({ code: 0 });
    expect(first.out + first.err).not.toContain(key);
    // Other spare bits, the same bytes.
    const again = await keyring(["install", `${"b".repeat(42)}h=`]);
    expect(again.out).toBe(first.out);
    expect((await keys()).slice(1)).toEqual([key]);
    expect(await keyring(["remove", first.out.trim()])).toMatchObject({ code: 0 });
  });

  test("says what it does not do, and why", async () => {
    const [primary] = await client().keyring(false);
    const cases: [argv: string[], code: number, words: string][] = [
      [["remove", primary?.fingerprint ?? ""], 1, "use another one first"],
      [["use", "0".repeat(12)], 1, "`orchd keyring ls` lists them"],
      [["use", "nothing"], 2, "names no gossip key"],
      [["install", "c2hvcnQ="], 2, "32 bytes in base 64"],
    ];
    for (const [argv, code, words] of cases) {
      const result = await keyring(argv);
      expect(result).toMatchObject({ code, out: "" });
      expect(result.err).toContain(words);
    }
    for (let count = 1; count < 8; count++) await client().installKey();
    const full = await keyring(["install"]);
    expect(full).toMatchObject({ code: 1 });
    expect(full.err).toContain("the keyring is full");
  });

  test("is completed with fingerprints", async () => {
    const [primary] = await client().keyring(false);
    const argv = ["__complete", "--", "keyring", "use", "--socket", server.socketPath, ""];
    expect((await run(argv)).out).toContain(`${primary?.fingerprint}\n`);
  });
});
