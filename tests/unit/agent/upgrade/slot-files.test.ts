import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { dirname } from "node:path";
import { SlotFiles } from "../../../../src/agent/upgrade/slot-files.ts";
import { aDataDir, bytesOf, contentOf, installedHere } from "./rig.ts";

const TEXT = "#!/bin/sh\nexit 0\n";

async function filled(dataDir: string) {
  const files = new SlotFiles(dataDir);
  const slots = { ...installedHere(), active: "a" as const, a: contentOf(TEXT) };
  await files.fill("a", slots.a, bytesOf(TEXT));
  files.write(slots);
  return {
    files,
    slots,
    path: files.pathOf("a"),
    state: `${dirname(files.pathOf("a"))}/slots.json`,
  };
}

describe("a slot", () => {
  test("has what it was filled with, to be run by its owner alone", async () => {
    using own = aDataDir();
    const { files, slots, path } = await filled(own.dataDir);
    expect(fs.readFileSync(path, "utf8")).toBe(TEXT);
    expect(fs.statSync(path).mode & 0o777).toBe(0o700);
    expect([...files.whole(slots)]).toEqual(["a"]);
    expect(files.read()).toEqual(slots);
  });

  test("takes nothing but what has the digest that was told, and keeps what it had", async () => {
    using own = aDataDir();
    const { files, slots, path } = await filled(own.dataDir);
    const cut = files.fill("a", slots.a, bytesOf(TEXT.slice(0, -3)));
    expect(cut).rejects.toMatchObject({ code: "damaged" });
    await cut.catch(() => undefined);
    expect(fs.readFileSync(path, "utf8")).toBe(TEXT);
    expect(fs.readdirSync(dirname(path)).sort()).toEqual(["a", "slots.json"]);
  });

  test("keeps what it had when what comes breaks off", async () => {
    using own = aDataDir();
    const { files, slots, path } = await filled(own.dataDir);
    const broken = async function* () {
      yield* bytesOf(TEXT.slice(0, 5));
      throw new Error("the link broke");
    };
    expect(await files.fill("a", slots.a, broken()).catch(String)).toContain("the link broke");
    expect(fs.readFileSync(path, "utf8")).toBe(TEXT);
  });

  const spoil: [string, (path: string) => void][] = [
    ["is gone", (path) => fs.rmSync(path)],
    ["is cut off", (path) => fs.truncateSync(path, 4)],
    ["can't be run", (path) => fs.chmodSync(path, 0o600)],
    ["could be changed by others", (path) => fs.chmodSync(path, 0o722)],
    ["is a link to another file", (path) => (fs.rmSync(path), fs.symlinkSync("/bin/sh", path))],
    ["is a folder", (path) => (fs.rmSync(path), fs.mkdirSync(path))],
  ];
  test.each(spoil)("that %s is not whole", async (_what, spoilIt) => {
    using own = aDataDir();
    const { files, slots, path } = await filled(own.dataDir);
    spoilIt(path);
    expect([...files.whole(slots)]).toEqual([]);
  });

  test("whose bytes were changed in place is found out by its digest", async () => {
    using own = aDataDir();
    const { files, slots, path } = await filled(own.dataDir);
    files.verify("a", slots.a);
    fs.writeFileSync(path, TEXT.replace("0", "1"));
    expect(() => files.verify("a", slots.a)).toThrow("was altered");
  });
});

describe("what is written down of slots", () => {
  const garbage: [string, string][] = [
    ["is empty", ""],
    ["is cut off", '{"format":1,"inst'],
    ["is no object", "7"],
    ["is of another format", JSON.stringify({ ...installedHere(), format: 2 })],
    ["names a slot that there is not", JSON.stringify({ ...installedHere(), active: "../../sh" })],
    ["is far too long", `"${"x".repeat(100_000)}"`],
  ];
  test.each(garbage)("is refused when it %s", async (_what, text) => {
    using own = aDataDir();
    const { files, state } = await filled(own.dataDir);
    fs.writeFileSync(state, text);
    expect(() => files.read()).toThrow("makes no sense");
  });

  test("is not believed when others could have written it", async () => {
    using own = aDataDir();
    const { files, state } = await filled(own.dataDir);
    fs.chmodSync(state, 0o666);
    expect(() => files.read()).toThrow("can be changed by others");
    fs.chmodSync(state, 0o600);
    fs.chmodSync(dirname(state), 0o777);
    expect(() => files.read()).toThrow("can be changed by others");
  });
});
