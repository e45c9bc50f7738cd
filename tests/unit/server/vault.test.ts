import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { put } from "../../../src/model/change.ts";
import { Items } from "../../../src/server/vault/items.ts";
import { Vault } from "../../../src/server/vault/vault.ts";
import { openSqliteStore, type SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";

const SECRET = "plain-d81b3e-secret";
const PASSPHRASE = "plain-0c44a9-passphrase";

let directory: string;
let store: SqliteStore;
let vault: Vault;
let items: Items;
beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-vault-"));
  await start();
});
afterEach(async () => {
  await store.close();
  fs.rmSync(directory, { recursive: true });
});

async function start(): Promise<void> {
  store = await openSqliteStore(join(directory, "server.db"));
  vault = await Vault.open({ store, clock: systemClock, log: silentLog, dataDir: directory });
  items = new Items({ store, clock: systemClock, random: systemRandom, vault });
}

async function restart(): Promise<void> {
  await store.close();
  await start();
}

const keyFile = () => join(directory, "vault.key");
const bytes = (text: string) => new TextEncoder().encode(text);
const request = (upload: string, name = "web") => {
  return { name, upload, labels: {}, isTemplate: false };
};

async function create(text: string, kind: "secret" | "config" = "config"): Promise<void> {
  await items.create(kind, request(items.upload(bytes(text))));
}

/** What the config that was made holds, or the code of why that can't be told. */
function read(number?: number): string {
  try {
    return new TextDecoder().decode(items.configContent("web", number));
  } catch (error) {
    if (error instanceof OrchdError) return error.code;
    throw error;
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "done",
    (error: unknown) => (error instanceof OrchdError ? error.code : "unexpected"),
  );
}

describe("a vault", () => {
  test("is opened by its key file, which is for its owner's eyes alone", async () => {
    await create(SECRET);
    await restart();
    expect(read()).toBe(SECRET);
    expect(fs.statSync(keyFile()).mode & 0o777).toBe(0o600);
    expect(vault.status()).toMatchObject({ state: "unlocked", protectedBy: "keyFile" });
  });

  test("leaves no plain text on the disk, whatever is done with it", async () => {
    await create(SECRET);
    await items.update("config", "web", items.upload(bytes(`${SECRET}-2`)));
    await vault.rotateKey();
    await vault.protect(PASSPHRASE);
    await vault.protect(undefined);
    await items.remove("config", "web");
    const files = fs.readdirSync(directory, { recursive: true, encoding: "utf8" });
    const texts = files
      .map((name) => join(directory, name))
      .filter((path) => fs.statSync(path).isFile())
      .map((path) => fs.readFileSync(path, "latin1"));
    const sought = [SECRET, PASSPHRASE].flatMap((text) => {
      return [
        text,
        Buffer.from(text).toString("base64").slice(0, 16),
        Buffer.from(text).toString("hex"),
      ];
    });
    expect(sought.filter((one) => texts.some((text) => text.includes(one)))).toEqual([]);
    // Only that the looking finds what is there makes it a finding that the rest is not.
    expect(texts.some((text) => text.includes('"name":"web"'))).toBe(true);
  });

  test("stays locked without its key file, and opens when it is put back", async () => {
    await create(SECRET);
    const key = fs.readFileSync(keyFile());
    fs.rmSync(keyFile());
    await restart();
    expect(vault.status()).toMatchObject({
      state: "locked",
      reason: expect.stringContaining("vault.key is not there: put it in place"),
    });
    expect(read()).toBe("locked");
    expect(await codeOf(create("x", "secret"))).toBe("locked");
    expect(await codeOf(vault.unlock(undefined))).toBe("forbidden");
    fs.writeFileSync(keyFile(), key);
    await vault.unlock(undefined);
    expect(read()).toBe(SECRET);
  });

  test("stays locked with the key file of another store, and with one that is none", async () => {
    await create(SECRET);
    for (const text of [Buffer.alloc(32, 7).toString("base64"), "", "x".repeat(10_000)]) {
      fs.writeFileSync(keyFile(), text);
      await restart();
      expect(vault.status().state).toBe("locked");
    }
    expect(fs.readFileSync(keyFile(), "utf8")).toBe("x".repeat(10_000));
  });

  test("reads no key through a link, and takes others' eyes from its file", async () => {
    fs.renameSync(keyFile(), `${keyFile()}.moved`);
    fs.symlinkSync(`${keyFile()}.moved`, keyFile());
    await restart();
    expect(vault.status().state).toBe("locked");
    fs.rmSync(keyFile());
    fs.renameSync(`${keyFile()}.moved`, keyFile());
    fs.chmodSync(keyFile(), 0o644);
    await restart();
    expect(vault.status().state).toBe("unlocked");
    expect(fs.statSync(keyFile()).mode & 0o777).toBe(0o600);
  });

  test("that a passphrase opens starts locked, and tells a wrong one from it", async () => {
    await create(SECRET);
    await vault.protect(PASSPHRASE);
    expect([read(), fs.existsSync(keyFile())]).toEqual([SECRET, false]);
    await restart();
    expect(vault.status()).toMatchObject({ state: "locked", protectedBy: "passphrase" });
    let unlocked = 0;
    vault.onUnlock(() => (unlocked += 1));
    const guesses = [undefined, `${PASSPHRASE} `, "", PASSPHRASE.toUpperCase()];
    const codes = await Promise.all(guesses.map((guess) => codeOf(vault.unlock(guess))));
    expect(codes).toEqual(["invalid", "forbidden", "forbidden", "forbidden"]);
    expect([read(), unlocked]).toEqual(["locked", 0]);
    await vault.unlock(PASSPHRASE);
    expect([read(), unlocked]).toEqual([SECRET, 1]);
  });

  test("gets a new key for all contents, and still knows an unchanged one", async () => {
    await create(SECRET);
    const before = [...store.view().contents.values()].map(({ sealed }) => sealed);
    await vault.rotateKey();
    const after = [...store.view().contents.values()].map(({ sealed }) => sealed);
    expect(after).not.toEqual(before);
    expect(read()).toBe(SECRET);
    const again = await items.update("config", "web", items.upload(bytes(SECRET)));
    expect(again).toEqual({ changed: false, services: [] });
    await restart();
    expect(read()).toBe(SECRET);
  });

  test("whose passphrase is taken away is opened by a new key file", async () => {
    const first = fs.readFileSync(keyFile(), "utf8");
    await create(SECRET);
    await vault.protect(PASSPHRASE);
    await vault.protect(undefined);
    expect(fs.readFileSync(keyFile(), "utf8")).not.toBe(first);
    await restart();
    expect(read()).toBe(SECRET);
  });

  test("is opened after a crash at any moment of a change of its key file", async () => {
    await create(SECRET);
    const before = fs.readFileSync(keyFile(), "utf8");
    // The new key is on the disk, and the store still goes by the old one.
    fs.writeFileSync(`${keyFile()}.new`, Buffer.alloc(32, 7).toString("base64"));
    await restart();
    expect([read(), fs.existsSync(`${keyFile()}.new`)]).toEqual([SECRET, false]);
    await vault.protect(undefined);
    const after = fs.readFileSync(keyFile(), "utf8");
    // The store goes by the new one, which is not in its place.
    fs.writeFileSync(`${keyFile()}.new`, after);
    fs.writeFileSync(keyFile(), before);
    await restart();
    expect([read(), fs.readFileSync(keyFile(), "utf8")]).toEqual([SECRET, after]);
  });

  test("does not change its key when the disk refuses it", async () => {
    await create(SECRET);
    const commit = store.commit.bind(store);
    store.commit = () => Promise.reject(new OrchdError("noSpace", "the disk is full"));
    expect(await codeOf(vault.rotateKey())).toBe("noSpace");
    expect(await codeOf(vault.protect(PASSPHRASE))).toBe("noSpace");
    expect(await codeOf(vault.protect(undefined))).toBe("noSpace");
    store.commit = commit;
    expect(read()).toBe(SECRET);
    await restart();
    expect(read()).toBe(SECRET);
  });

  test("that nobody can open any more begins anew, and only then", async () => {
    await create(SECRET);
    expect(await codeOf(vault.reset())).toBe("conflict");
    await vault.protect(PASSPHRASE);
    await restart();
    await vault.reset();
    expect(vault.status()).toMatchObject({ state: "unlocked", protectedBy: "keyFile" });
    expect([store.view().items.size, store.view().contents.size]).toEqual([0, 0]);
    await create("another");
    await restart();
    expect(read()).toBe("another");
  });

  test("refuses contents that were exchanged or altered in the store", async () => {
    await create(SECRET);
    await items.update("config", "web", items.upload(bytes("another")));
    const [first, second] = [...store.view().contents.values()];
    if (first === undefined || second === undefined) throw new Error("there are two versions");
    await store.commit([
      put.content({ ...first, sealed: second.sealed }),
      put.content({ ...second, sealed: first.sealed }),
    ]);
    expect([read(1), read(2)]).toEqual(["damaged", "damaged"]);
    expect(await codeOf(vault.rotateKey())).toBe("damaged");
  });
});

describe("what people send", () => {
  test("is used once, and told when it is not there any more", async () => {
    const upload = items.upload(bytes("a"));
    await items.create("config", request(upload));
    expect(await codeOf(items.create("config", request(upload, "other")))).toBe("notFound");
    expect(await codeOf(items.create("config", request("nowhere00000", "other")))).toBe("notFound");
  });

  test("is bounded, and an empty content is refused", async () => {
    expect(() => items.upload(new Uint8Array(1_024_001))).toThrow(/at most 1000 KiB/);
    expect(await codeOf(items.create("secret", request(items.upload(new Uint8Array()))))).toBe(
      "invalid",
    );
    const large = items.upload(new Uint8Array(512_001));
    expect(await codeOf(items.create("secret", request(large)))).toBe("invalid");
    expect(await codeOf(items.create("config", request(large)))).toBe("done");
  });

  test("is refused as a template where nothing could be filled in", async () => {
    const template = (content: Uint8Array) =>
      items.create("config", { ...request(items.upload(content)), isTemplate: true });
    expect(template(bytes("{{.Node.Nothing}}"))).rejects.toThrow(/names \.Node\.Nothing, which/);
    expect(template(new Uint8Array([0xff]))).rejects.toThrow(/is not text in UTF-8/);
    expect(await codeOf(template(bytes("{{.Node.Hostname}}")))).toBe("done");
  });

  test("makes room for what is sent after it", async () => {
    const first = items.upload(new Uint8Array(1_000_000).fill(1));
    for (let i = 0; i < 70; i++) items.upload(new Uint8Array(1_000_000));
    expect(await codeOf(items.create("config", request(first)))).toBe("notFound");
  });

  test("can't take a name twice, nor be removed twice", async () => {
    await create("a");
    expect(await codeOf(create("b"))).toBe("conflict");
    await items.remove("config", "web");
    expect(await codeOf(items.remove("config", "web"))).toBe("notFound");
  });
});
