import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { Server } from "../../../src/server/server.ts";
import { FakeIo, run } from "./fake-io.ts";

const SILENT = { info: () => {}, warn: () => {}, error: () => {} };

async function aServer(): Promise<{ server: Server; dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), "orchd-context-"));
  const server = await Server.open({
    dataDir: join(dir, "data"),
    runDir: join(dir, "run"),
    runtime: "fake",
    agent: false,
    advertise: "127.0.0.1",
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log: SILENT,
  });
  await server.openPort({ host: "127.0.0.1", port: 0, gossipPort: 0 });
  return { server, dir };
}

let server: Server;
let dir: string;
let address: string;
let client: ApiClient;
let home: string;

beforeAll(async () => {
  ({ server, dir } = await aServer());
  address = server.addresses()[0] ?? "";
  client = ApiClient.onSocket(server.socketPath);
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});
beforeEach(() => void (home = mkdtempSync(join(tmpdir(), "orchd-home-"))));
afterEach(() => rmSync(home, { recursive: true }));

const io = (env: Record<string, string> = {}, input = "") =>
  new FakeIo({ env: { HOME: home, ...env }, input });
const file = () => join(home, ".config/orchd/contexts.json");
const orchd = (...argv: string[]) => run(argv, io());
const anAdmin = () => client.createToken({ kind: "admin" });

async function withContext(): Promise<string> {
  const { text } = await anAdmin();
  const { code, err } = await orchd("context", "add", "hall", `${text}@${address}`, "--use");
  expect({ code, err }).toMatchObject({ code: 0 });
  return text;
}

describe("orchd context", () => {
  test("keeps a server that proved itself, for its owner's eyes alone", async () => {
    const { text } = await anAdmin();
    const argv = ["context", "add", "hall", "--server", address, "--token", "-"];
    const added = await run(argv, io({}, `${text}\n`));
    expect(added).toMatchObject({ code: 0, out: "" });
    expect(added.err).not.toContain(text);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, ".config/orchd")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(home, ".config/orchd"))).toEqual(["contexts.json"]);
    const listed = await orchd("context", "ls");
    expect(listed.out).toContain("hall");
    expect(listed.out).toContain(address);
    const shown = await orchd("context", "show", "hall", "--json");
    expect(JSON.parse(shown.out)).toMatchObject({ name: "hall", server: address, selected: false });
    for (const { out, err } of [listed, shown]) expect(out + err).not.toContain(text);
  });

  test("takes the token from ORCHD_TOKEN as well", async () => {
    const { text } = await anAdmin();
    const argv = ["context", "add", "hall", "--server", address];
    expect(await run(argv, io({ ORCHD_TOKEN: text }))).toMatchObject({ code: 0 });
    expect(await orchd("ls", "--context", "hall", "--json")).toMatchObject({
      code: 0,
      out: "[]\n",
    });
  });

  test("leads commands to the selected server, to the named one, and back", async () => {
    await withContext();
    expect(await orchd("ls", "--json")).toMatchObject({ code: 0, out: "[]\n" });
    expect(await orchd("--context", "hall", "nodes", "--json")).toMatchObject({ code: 0 });
    const named = await run(["ls", "--json"], io({ ORCHD_CONTEXT: "local" }));
    expect(named).toMatchObject({ code: 3 });
    expect(named.err).toContain("/run/orchd/orchd.sock");
    // A socket that is named wins over the selection.
    expect(await orchd("ls", "--socket", "/none.sock")).toMatchObject({ code: 3 });
    expect(await orchd("ls", "--data-dir", dir)).toMatchObject({ code: 3 });
    expect(await orchd("context", "use", "local")).toMatchObject({ code: 0 });
    expect(await orchd("ls")).toMatchObject({ code: 3 });
    expect(await orchd("context", "use", "hall")).toMatchObject({ code: 0 });
    expect(await orchd("ls")).toMatchObject({ code: 0 });
    expect((await orchd("context", "rm", "hall")).err).toContain("the socket of this machine");
    expect(await orchd("ls")).toMatchObject({ code: 3 });
  });

  test("refuses two words that name two servers", async () => {
    await withContext();
    const both = await orchd("ls", "--context", "hall", "--socket", "/none.sock");
    expect(both).toMatchObject({ code: 2 });
    const env = { ORCHD_CONTEXT: "hall", ORCHD_SOCKET: "/none.sock" };
    expect(await run(["ls"], io(env))).toMatchObject({ code: 2 });
    expect(await orchd("ls", "--context", "__proto__")).toMatchObject({ code: 1 });
    expect((await orchd("ls", "--context", "other")).err).toContain("`orchd context ls`");
  });

  test("keeps nothing that can't be used, and says why", async () => {
    const admin = await anAdmin();
    const wrong = admin.text.slice(0, -1) + (admin.text.endsWith("0") ? "1" : "0");
    const join = await client.createToken({ kind: "join" });
    const other = await aServer();
    try {
      const foreign = other.server.addresses()[0] ?? "";
      const nothing = "127.0.0.1:1";
      const cases: [string, string, number, string][] = [
        [admin.text, foreign, 1, "another cluster than the token's"],
        [admin.text, nothing, 3, "nothing listens on this port"],
        [join.text, address, 1, "orchd token create --admin"],
        [wrong, address, 1, "revoked"],
        [admin.text.slice(0, -1), address, 2, "cut off"],
        [admin.text, "nowhere:", 2, "is no address"],
      ];
      for (const [token, at, code, words] of cases) {
        const result = await orchd("context", "add", "hall", "--server", at, "--token", token);
        expect({ words, ...result }).toMatchObject({ words, code });
        expect(result.err).toContain(words);
        expect(result.err).not.toContain(token);
        expect(result.err.trim().split("\n")).toHaveLength(1);
      }
      expect((await orchd("context", "ls")).out).not.toContain("hall");
    } finally {
      await other.server.stop();
      rmSync(other.dir, { recursive: true });
    }
  });

  test("does not take the place of a context unasked", async () => {
    const text = await withContext();
    const again = await orchd("context", "add", "hall", `${text}@${address}`);
    expect(again).toMatchObject({ code: 1 });
    expect(again.err).toContain("--replace");
    const replaced = await orchd("context", "add", "hall", `${text}@${address}`, "--replace");
    expect(replaced).toMatchObject({ code: 0 });
  });

  test("says what to do when the token was revoked, or the server is another one", async () => {
    const text = await withContext();
    const tokens = await client.tokens();
    await client.revokeToken(tokens.at(-1)?.id ?? "");
    const revoked = await orchd("ls");
    expect(revoked).toMatchObject({ code: 1 });
    expect(revoked.err).toContain("the token is wrong or was revoked");
    expect(revoked.err).toContain("orchd context add hall --replace");
    expect(revoked.err).not.toContain(text);
    const exec = await orchd("exec", "some-task", "--", "true");
    expect(exec.err).toContain("the token is wrong or was revoked");
    const other = await aServer();
    try {
      const kept = readFileSync(file(), "utf8");
      const foreign = other.server.addresses()[0] ?? "";
      writeFileSync(file(), kept.replace(address, foreign));
      const wrong = await orchd("ls");
      expect(wrong).toMatchObject({ code: 1 });
      expect(wrong.err).toContain("belongs to another cluster");
      expect(wrong.err).toContain("--replace");
    } finally {
      await other.server.stop();
      rmSync(other.dir, { recursive: true });
    }
  });

  test("gives up on something that takes connections and says nothing of TLS", async () => {
    await withContext();
    const silent = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as { port: number };
    writeFileSync(file(), readFileSync(file(), "utf8").replace(address, `127.0.0.1:${port}`));
    const result = await orchd("ls");
    silent.close();
    expect(result).toMatchObject({ code: 3 });
    expect(result.err).toContain("something other than an orchd server");
  });

  test("reads no file that others may read, and no damaged one", async () => {
    await withContext();
    chmodSync(file(), 0o644);
    expect((await orchd("ls")).err).toContain("chmod 600");
    chmodSync(file(), 0o600);
    writeFileSync(file(), "{");
    expect((await orchd("ls")).err).toContain("is damaged");
    expect(await orchd("ls", "--socket", "/none.sock")).toMatchObject({ code: 3 });
  });

  test("is offered by completion", async () => {
    await withContext();
    expect((await orchd("__complete", "--", "context", "use", "h")).out).toBe("hall\n");
    expect((await orchd("__complete", "--", "ps", "--context", "")).out).toBe("local\nhall\n");
  });
});
