import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPairSync } from "node:crypto";
import { COMPOSE, Site } from "./rig.ts";

let cwd: string;
let [source, target] = [] as unknown as [Site, Site];

beforeEach(async () => {
  cwd = fs.mkdtempSync(join(tmpdir(), "orchd-bundle-"));
  fs.writeFileSync(join(cwd, "compose.yaml"), COMPOSE);
  fs.writeFileSync(join(cwd, "page.html"), "hello");
  fs.writeFileSync(join(cwd, "password.txt"), "plain-7f31-secret");
  [source, target] = [await Site.open(cwd), await Site.open(cwd)];
  await source.load("web:1");
});
afterEach(async () => {
  await source.close();
  await target.close();
  fs.rmSync(cwd, { recursive: true });
});

const inCwd = (name: string) => join(cwd, name);

async function trustSource(): Promise<void> {
  fs.writeFileSync(inCwd("source.pem"), await source.must("bundle", "key", "--signing"));
}

describe("a bundle of a stack that runs in one cluster", () => {
  test("brings it up in another, once, with image, config and sealed secret", async () => {
    await source.must("up", "-d");
    const key = (await target.must("bundle", "key")).trim();
    const made = await source.create("site.tar", "shop", "--for", key);
    expect(made.leftOut).toEqual([]);
    expect(fs.readFileSync(inCwd("site.tar"), "latin1")).not.toContain("plain-7f31-secret");
    await trustSource();
    const first = await target.apply("site.tar", "--trust", "source.pem");
    expect(first).toMatchObject({
      changed: true,
      images: [{ reference: "docker.io/library/web:1", changed: true }],
      items: [
        { kind: "config", name: "shop_page", outcome: "created" },
        { kind: "secret", name: "shop_password", outcome: "created" },
      ],
      stacks: [{ stack: "shop", plan: [{ action: "create", service: "shop/web" }] }],
    });
    expect(await target.everything()).toEqual(await source.everything());
    const page = await target.client.configContent("shop_page");
    expect(new TextDecoder().decode(page)).toBe("hello");
    const again = await target.apply("site.tar", "--trust", "source.pem");
    expect([again.changed, again.stacks[0]?.plan[0]?.action]).toEqual([false, "keep"]);
    const said = await target.orchd("bundle", "apply", "site.tar", "--trust", "source.pem");
    expect([said.code, said.out]).toEqual([
      0,
      "All that is in the bundle is here already: nothing was changed.\n",
    ]);
  });

  test("leaves out secrets where nobody is named who may open them, and says so", async () => {
    await source.must("up", "-d");
    const said = await source.orchd("bundle", "create", "site.tar", "shop");
    expect(said.err).toContain("secret shop_password: it is left out: --for names the target");
    await trustSource();
    const before = await target.everything();
    const refused = await target.orchd("bundle", "apply", "site.tar", "--trust", "source.pem");
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining("nothing is changed: the bundle leaves out secret shop_password"),
    ]);
    expect(await target.everything()).toEqual(before);
    // Where the secret is already, the rest can come without it.
    const key = (await target.must("bundle", "key")).trim();
    await source.create("whole.tar", "shop", "--for", key);
    await target.apply("whole.tar", "--trust", "source.pem");
    expect((await target.apply("site.tar", "--trust", "source.pem")).changed).toBe(false);
  });

  test("is refused where its secrets are sealed for another cluster", async () => {
    await source.must("up", "-d");
    fs.writeFileSync(inCwd("own.key"), await source.must("bundle", "key"));
    await source.create("site.tar", "shop", "--for", "own.key");
    await trustSource();
    const { err } = await target.orchd("bundle", "apply", "site.tar", "--trust", "source.pem");
    expect(err).toContain("secret shop_password is sealed for another cluster");
    expect((await source.apply("site.tar")).changed).toBe(false);
  });

  test("brings what changed since, and secrets and configs of the cluster", async () => {
    fs.writeFileSync(inCwd("motd"), "one");
    await source.must("config", "create", "motd", "motd");
    const shared = COMPOSE.replace("[page]", "[page, motd]").replace(
      "\nsecrets:\n  password:",
      "\n  motd: {external: true}\nsecrets:\n  password:",
    );
    fs.writeFileSync(inCwd("compose.yaml"), shared);
    await source.must("up", "-d");
    await trustSource();
    const key = (await target.must("bundle", "key")).trim();
    await source.create("one.tar", "shop", "--for", key);
    await target.apply("one.tar", "--trust", "source.pem");
    fs.writeFileSync(inCwd("motd"), "two");
    await source.must("config", "update", "motd", "motd");
    await source.load("web:1", "other content");
    await source.create("two.tar", "shop", "--for", key);
    const second = await target.apply("two.tar", "--trust", "source.pem");
    expect(second.items.filter(({ outcome }) => outcome === "updated")).toEqual([
      { kind: "config", name: "motd", outcome: "updated" },
    ]);
    expect(second.images).toMatchObject([{ changed: true }]);
    expect((await target.apply("two.tar", "--trust", "source.pem")).changed).toBe(false);
  });
});

describe("a bundle of a Compose file", () => {
  test("is made by a key of one's own, and taken where that key is trusted", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const pem = { type: "pkcs8", format: "pem" } as const;
    fs.writeFileSync(inCwd("release.key"), privateKey.export(pem));
    const publicPem = publicKey.export({ type: "spki", format: "pem" });
    fs.writeFileSync(inCwd("release.pem"), publicPem);
    const key = (await target.must("bundle", "key")).trim();
    const sign = ["--key", "release.key", "--for", key];
    await source.create("site.tar", "-f", "compose.yaml", ...sign);
    expect(await source.must("ls", "--json")).toBe("[]\n");
    const refused = await target.orchd("bundle", "apply", "site.tar");
    expect(refused.err).toMatch(/signed with the key \w{52}, which is not trusted here/);
    fs.mkdirSync(join(target.directory, "release-keys"));
    fs.writeFileSync(join(target.directory, "release-keys", "ours.pem"), publicPem);
    expect((await target.apply("site.tar")).changed).toBe(true);
    const inspected = await source.must("bundle", "inspect", "site.tar", "--trust", "release.pem");
    expect(inspected).toContain("secret shop_password, sealed");
    await trustSource();
    const other = await source.orchd("bundle", "inspect", "site.tar", "--trust", "source.pem");
    expect([other.code, other.err]).toEqual([1, expect.stringContaining("with another key")]);
  });

  test("leaves out the blobs that the target has, and is refused where they are not", async () => {
    await trustSource();
    await target.load("web:1");
    fs.writeFileSync(inCwd("target.have"), await target.must("bundle", "have"));
    const bare = "name: bare\nservices: {web: {image: web:1}}\n";
    fs.writeFileSync(inCwd("compose.yaml"), bare);
    const made = await source.create("site.tar", "-f", "compose.yaml", "--have", "target.have");
    expect([made.files.filter(({ path }) => path.startsWith("blobs/")), made.assumes]).toEqual([
      [],
      [expect.any(String), expect.any(String), expect.any(String)],
    ]);
    expect((await target.apply("site.tar", "--trust", "source.pem")).changed).toBe(true);
    const third = await Site.open(cwd);
    const before = await third.everything();
    const { err } = await third.orchd("bundle", "apply", "site.tar", "--trust", "source.pem");
    expect(err).toContain("leaves out what this site was said to have and does not");
    expect(await third.everything()).toEqual(before);
    await third.close();
  });

  test("can't be made of an image that is not kept, of nothing, for a misspelt key", async () => {
    const create = (...argv: string[]) => source.orchd("bundle", "create", "site.tar", ...argv);
    expect((await create("--image", "other:1")).err).toContain("other:1 is not kept here");
    expect(await create()).toMatchObject({ code: 2 });
    const key = (await target.must("bundle", "key")).trim();
    const wrong = key.replace(/.$/, (last) => (last === "a" ? "b" : "a"));
    expect((await create("--image", "web:1", "--for", wrong)).err).toContain("no sealing key");
    expect((await create("nope")).err).toContain("there is no stack nope");
    expect(fs.readdirSync(cwd).filter((name) => name.includes("site.tar"))).toEqual([]);
  });
});
