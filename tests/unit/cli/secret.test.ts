import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { Server } from "../../../src/server/server.ts";
import { FakeIo, run } from "./fake-io.ts";

const COMPOSE = `
name: shop
services:
  web: { image: nginx, secrets: [pass], configs: [{ source: conf }] }
secrets: { pass: { file: ./pass.txt } }
configs: { conf: { content: "listen 80" } }
`;

let server: Server;
let dir: string;
const logged: string[] = [];
const log = (line: string) => void logged.push(line);
const open = async () => {
  server = await Server.open({
    dataDir: join(dir, "data"),
    runDir: join(dir, "run"),
    runtime: "fake",
    agent: false,
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log: { info: log, warn: log, error: log },
  });
};
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "orchd-secret-"));
  await open();
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});

const io = (input = "", isTerminal = false) => new FakeIo({ input, isTerminal, cwd: dir });
const orchd = (argv: string[], given = io()) =>
  run([...argv, "--socket", server.socketPath], given);
const client = () => ApiClient.onSocket(server.socketPath);
function write(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return name;
}

describe("orchd secret", () => {
  test("makes one from a file or standard input, and never shows it again", async () => {
    const file = await orchd([
      "secret",
      "create",
      "one",
      write("one.txt", "hunter2"),
      "-l",
      "a=b=c",
    ]);
    expect(file).toMatchObject({ code: 0, out: expect.stringMatching(/^[a-z][0-9a-z]{11}\n$/) });
    expect(await orchd(["secret", "create", "two", "-"], io("hunter3"))).toMatchObject({ code: 0 });
    const shown = await Promise.all([
      orchd(["secret", "ls"]),
      orchd(["secret", "ls", "--json"]),
      orchd(["secret", "inspect", "one", "two"]),
      orchd(["secret", "inspect", "one", "--json"]),
    ]);
    const text = shown.map(({ out, err }) => out + err).join("");
    expect(text).toContain("a=b=c");
    expect(text).not.toMatch(/hunter/);
  });

  test("refuses an empty, too large or unreadable content, and a bad name", async () => {
    const large = write("large.txt", "x".repeat(512_001));
    const cases: [argv: string[], code: number, error: RegExp][] = [
      [["create", "x", write("empty.txt", "")], 2, /a secret must not be empty/],
      [["create", "x", large], 2, /a secret has at most 500 KiB/],
      [["create", "x", "nowhere.txt"], 1, /can't read nowhere.txt: there is no such file/],
      [["create", "x", "."], 1, /it is a directory/],
      [["create", "../x", "one.txt"], 2, /must be 1 to 128 letters/],
      [["create", "one", "one.txt"], 1, /`orchd secret update one FILE` gives it a new content/],
      [["inspect", "nothing"], 1, /there is no such secret/],
      [["update", "nothing", "one.txt"], 1, /there is no secret nothing/],
      [["rm", "nothing"], 1, /there is no secret nothing/],
    ];
    for (const [argv, code, error] of cases) {
      const result = await orchd(["secret", ...argv]);
      expect({ argv, code: result.code, err: result.err }).toEqual({
        argv,
        code,
        err: expect.stringMatching(error),
      });
    }
    const terminal = await orchd(["secret", "create", "x", "-"], io("", true));
    expect(terminal).toMatchObject({ code: 2, err: expect.stringContaining("is a terminal") });
  });

  test("update says whether it is another content, and rm removes it", async () => {
    await orchd(["secret", "create", "three", "-"], io("a"));
    const same = await orchd(["secret", "update", "three", "-"], io("a"));
    expect(same.out).toBe("secret three has this content already\n");
    const other = await orchd(["secret", "update", "three", "-"], io("b"));
    expect(other.out).toBe("secret three has version 2 now\n");
    expect(await orchd(["secret", "rm", "three"])).toMatchObject({ code: 0 });
  });
});

describe("orchd config", () => {
  test("shows what a kept version holds, and nothing that moves a terminal", async () => {
    await orchd(["config", "create", "web", "-"], io("listen 80\n\u001b[31mred\n"));
    await orchd(["config", "update", "web", "-"], io("\u0000\u00ff"));
    const first = await orchd(["config", "inspect", "web", "--revision", "1"]);
    expect(first.code).toBe(1);
    const text = await orchd(["config", "inspect", "web"]);
    expect(text.out).toEndWith("\n\\x00ÿ\n");
    writeFileSync(join(dir, "bytes"), Buffer.from([255, 0, 254]));
    await orchd(["config", "update", "web", "bytes"]);
    const bytes = await orchd(["config", "inspect", "web"]);
    expect(bytes.out).toEndWith("(3 bytes that are not text: --json shows them in base 64)\n");
    const json = JSON.parse((await orchd(["config", "inspect", "web", "--json"])).out) as object;
    expect(json).toMatchObject({ name: "web", number: 3, content: "/wD+" });
  });
});

describe("orchd up", () => {
  test("sends contents apart from the stack, and tells what changes by version", async () => {
    const file = write("compose.yaml", COMPOSE);
    write("pass.txt", "hunter2");
    expect(await orchd(["up", "-f", file, "--detach"])).toMatchObject({ code: 0 });
    expect(await client().item("secret", "shop_pass")).toMatchObject({
      stack: "shop",
      users: ["shop/web"],
    });
    write("pass.txt", "hunter3");
    const plan = await orchd(["up", "-f", file, "--dry-run"]);
    expect(plan.out).toContain("secret shop_pass 1 -> 2");
    expect((await client().item("secret", "shop_pass")).number).toBe(1);
    await orchd(["up", "-f", file, "--detach"]);
    expect((await client().item("secret", "shop_pass")).number).toBe(2);
    const inUse = await orchd(["secret", "rm", "shop_pass"]);
    expect(inUse).toMatchObject({ code: 1, err: expect.stringContaining("used by shop/web") });
  });
});

describe("orchd autolock and unlock", () => {
  const PASSPHRASE = "correct horse";

  test("turns on with a passphrase that is typed twice and shown nowhere", async () => {
    const differ = io(`${PASSPHRASE}\rcorrect hors\r`, true);
    expect(await orchd(["autolock", "on"], differ)).toMatchObject({ code: 2 });
    const short = await orchd(["autolock", "on"], io("short\n"));
    expect(short).toMatchObject({ code: 2, err: expect.stringContaining("at least 8 characters") });
    const typed = io(`corrext\u007f\u007fct horse\r${PASSPHRASE}\r`, true);
    const on = await orchd(["autolock", "on"], typed);
    expect(on).toMatchObject({ code: 0, out: expect.stringContaining("autolock   on") });
    expect(on.out + on.err).not.toContain("horse");
    expect(typed.raw).toEqual([true, false, true, false]);
  });

  test("locks at the next start, and opens with that passphrase alone", async () => {
    await server.stop();
    await open();
    expect((await orchd(["autolock", "status"])).out).toContain("locked: a passphrase opens them");
    const refused = await orchd(["secret", "create", "four", "-"], io("x"));
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("`orchd unlock`") });
    const wrong = await orchd(["unlock"], io("wrong passphrase\n"));
    expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining("not the right one") });
    const given = io("cor\u0003", true);
    expect(await orchd(["unlock"], given)).toMatchObject({ code: 2 });
    expect(given.raw).toEqual([true, false]);
    expect(await orchd(["unlock"], io(`${PASSPHRASE}\n`))).toMatchObject({ code: 0 });
    expect((await orchd(["unlock"])).err).toBe("secrets are not locked\n");
    expect(await orchd(["secret", "rotate-key"])).toMatchObject({ code: 0 });
    expect(await orchd(["autolock", "off"])).toMatchObject({ code: 0 });
    expect(await orchd(["autolock", "reset"])).toMatchObject({ code: 2 });
    const reset = await orchd(["autolock", "reset", "--forget-secrets"]);
    expect(reset).toMatchObject({ code: 1, err: expect.stringContaining("are not locked") });
    expect(logged.join("\n")).not.toMatch(/horse|hunter/);
  });
});
