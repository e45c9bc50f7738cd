import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measureTree } from "../../../src/tree/measure-tree.ts";
import { OpenDirectory } from "../../../src/tree/open-directory.ts";
import { readTree } from "../../../src/tree/read-tree.ts";
import { RESTORE_AREA, RestoreArea, finishRestoreAt } from "../../../src/tree/restore-area.ts";
import { newSha256 } from "../../../src/tree/sha256.ts";
import { writeTree } from "../../../src/tree/write-tree.ts";
import { ArchiveWriter } from "../../../src/core/archive/archive-writer.ts";
import { joined } from "../../../src/core/archive/bytes.ts";
import type { ArchiveEntry } from "../../../src/core/archive/entry.ts";
import { OrchdError } from "../../../src/lib/errors.ts";

const LIMITS = { entriesMax: 1000, bytesMax: 10_000_000 };

let dir: string;
let volume: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-tree-"));
  volume = join(dir, "volume");
  fs.mkdirSync(volume);
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

async function archiveOf(path: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const bytes of readTree(path)) parts.push(bytes.slice());
  return joined(parts);
}

/** An archive with these members, whatever they are. */
function anArchive(...members: (Partial<ArchiveEntry> & { content?: string })[]): Uint8Array {
  const writer = new ArchiveWriter("volume archive", newSha256());
  const parts = [writer.begin()];
  for (const { content = "", ...over } of members) {
    const bytes = Buffer.from(content);
    const entry = { kind: "file", path: "x", mode: 0o644, uid: 0, gid: 0, mtimeUs: 0 } as const;
    const rest = { target: "", isSparse: false, attributes: [] };
    parts.push(writer.entry({ ...entry, ...rest, ...over, size: bytes.length }));
    parts.push(writer.data(bytes), writer.padding(bytes.length));
  }
  return joined([...parts, writer.end({ changed: 0, skipped: 0 })]);
}

/** Puts an archive in the place of what the volume has. */
async function restore(archive: Uint8Array, to = volume): Promise<void> {
  const top = OpenDirectory.top(to);
  const area = await RestoreArea.begin(top);
  const fresh = area.openNew();
  try {
    await writeTree(fresh, pieces(archive), LIMITS);
    await area.commit();
  } catch (error) {
    await area.discard();
    throw error;
  } finally {
    fresh.close();
    top.close();
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 4000) yield bytes.subarray(at, at + 4000);
}

async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof OrchdError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** What is below a directory, with everything that a restore is to bring back. */
function looks(path: string): string {
  const format = "%P|%y|%m|%U:%G|%s|%Tt|%l|%n\\n";
  const found = Bun.spawnSync(["find", path, "-printf", format]).stdout.toString("latin1");
  return found.split("\n").sort().join("\n");
}

function fill(): void {
  fs.mkdirSync(join(volume, "d/e"), { recursive: true });
  fs.writeFileSync(join(volume, "d/text"), "hello");
  fs.linkSync(join(volume, "d/text"), join(volume, "hard"));
  fs.symlinkSync("../../etc/passwd", join(volume, "link"));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${volume}/`), Buffer.from([0xff, 0xfe])]), "odd");
  fs.writeFileSync(join(volume, "n".repeat(250)), new Uint8Array(100_000).fill(7));
  fs.chmodSync(join(volume, "d/text"), 0o4750);
  fs.chownSync(join(volume, "d/e"), 70, 71);
  fs.utimesSync(join(volume, "d/e"), 1_600_000_000.25, 1_600_000_000.25);
  fs.truncateSync(join(volume, "d/text"), 5_000_000);
  fs.chmodSync(volume, 0o1770);
}

describe("the tree of a volume", () => {
  test("comes back as it was, whatever its names, owners, rights and times are", async () => {
    fill();
    const before = looks(volume);
    const archive = await archiveOf(volume);
    const other = join(dir, "other");
    fs.mkdirSync(other);
    fs.writeFileSync(join(other, "in the way"), "");
    await restore(archive, other);
    expect(looks(other).replaceAll(other, volume)).toBe(before);
    expect(fs.statSync(join(other, "d/text")).blocks).toBeLessThan(100);
    expect(Buffer.compare(await archiveOf(other), archive)).toBe(0);
  });

  test("is read by tar", async () => {
    fill();
    fs.writeFileSync(join(dir, "a.tar"), await archiveOf(volume));
    const out = join(dir, "out");
    fs.mkdirSync(out);
    const { exitCode } = Bun.spawnSync(["tar", "-xpf", join(dir, "a.tar"), "-C", out]);
    expect([exitCode, fs.readFileSync(join(out, "hard"), "utf8").slice(0, 5)]).toEqual([
      0,
      "hello",
    ]);
  });

  test("is measured as it lies on the disk, a file with two names once", async () => {
    fill();
    const { files, bytes } = await measureTree(volume);
    expect(files).toBe(4);
    expect(bytes).toBeLessThan(1_000_000);
    expect(bytes).toBeGreaterThan(100_000);
  });

  test("leads nobody out of it by a link that took a directory's place", () => {
    fs.mkdirSync(join(dir, "outside"));
    fs.symlinkSync(join(dir, "outside"), join(volume, "d"));
    const top = OpenDirectory.top(volume);
    expect(() => top.child("d")).toThrow("ENOTDIR");
    top.close();
  });

  test("tells of files that were cut short while they were read", async () => {
    fs.writeFileSync(join(volume, "f"), new Uint8Array(3_000_000).fill(1));
    const parts: Uint8Array[] = [];
    for await (const bytes of readTree(volume)) {
      if (parts.length === 0) fs.truncateSync(join(volume, "f"), 300_000);
      parts.push(bytes.slice());
    }
    expect(Buffer.from(joined(parts)).includes("changed=1")).toBe(true);
    await restore(joined(parts));
    expect(fs.statSync(join(volume, "f")).size).toBe(3_000_000);
  });
});

describe("an archive that means harm", () => {
  const outside = () => join(dir, "outside");
  beforeEach(() => {
    fs.mkdirSync(outside());
    fs.writeFileSync(join(outside(), "secret"), "secret");
    fs.writeFileSync(join(volume, "kept"), "kept");
  });

  /** Refused, with nothing changed in the volume and nothing outside of it. */
  async function harmless(...members: Parameters<typeof anArchive>): Promise<string> {
    const before = looks(volume);
    const refusal = await refusalOf(restore(anArchive(...members)));
    expect(looks(volume)).toBe(before);
    expect(fs.readdirSync(outside())).toEqual(["secret"]);
    expect(fs.readFileSync(join(outside(), "secret"), "utf8")).toBe("secret");
    return refusal;
  }

  test("writes through no link", async () => {
    const link = { kind: "symlink", path: "d", target: outside() } as const;
    expect(await harmless(link, { path: "d/secret", content: "evil" })).toContain("no directory");
    const chain = { kind: "symlink", path: "e", target: "d" } as const;
    expect(await harmless(link, chain, { path: "e/x" })).toContain("no directory");
    expect(await harmless(link, { kind: "directory", path: "d" })).toContain("twice");
    expect(await harmless(link, { path: "d", content: "evil" })).toContain("twice");
  });

  test("makes nothing one with a file outside, by whatever way", async () => {
    const link = { kind: "symlink", path: "d", target: outside() } as const;
    const hard = { kind: "hardlink", path: "h", target: "d/secret" } as const;
    expect(await harmless(link, hard)).toContain("no directory");
    const direct = { kind: "symlink", path: "s", target: join(outside(), "secret") } as const;
    const toLink = { kind: "hardlink", path: "h", target: "s" } as const;
    expect(await harmless(direct, toLink)).toContain("is to be one with");
    expect(await harmless({ kind: "hardlink", path: "h", target: "later" })).toContain("before");
  });

  test("has no file in a file, no file twice and none without its directory", async () => {
    expect(await harmless({ path: "f" }, { path: "f/x" })).toContain("no directory");
    expect(await harmless({ path: "f" }, { path: "f" })).toContain("twice");
    expect(await harmless({ path: "d/x" })).toContain("no directory");
  });

  test("fills no more than there is room for", async () => {
    const many = Array.from({ length: 1001 }, (_, i) => ({ path: `f${i}` }));
    expect(await harmless(...many)).toContain("more than 1000 files");
    expect(await harmless({ path: "f", content: "x".repeat(10_000_001) })).toContain("room");
  });
});

describe("a restore that a power cut broke off", () => {
  const area = () => join(volume, RESTORE_AREA);
  beforeEach(() => {
    fs.writeFileSync(join(volume, "a"), "old");
    fs.writeFileSync(join(volume, "b"), "old");
    fs.mkdirSync(join(area(), "new"), { recursive: true });
    fs.writeFileSync(join(area(), "new/a"), "new");
    fs.writeFileSync(join(area(), "new/c"), "new");
  });
  const found = () =>
    Object.fromEntries(
      fs.readdirSync(volume).map((name) => [name, fs.readFileSync(join(volume, name), "utf8")]),
    );
  const mark = (name: string) => fs.writeFileSync(join(area(), name), "");
  const move = (from: string, to: string) => fs.renameSync(join(volume, from), join(volume, to));

  test("before all of it was there leaves the volume as it was", async () => {
    await finishRestoreAt(volume);
    expect(found()).toEqual({ a: "old", b: "old" });
  });

  test("after that is brought to its end, wherever it stood", async () => {
    mark("committed");
    await finishRestoreAt(volume);
    expect(found()).toEqual({ a: "new", c: "new" });
  });

  test("with half of the old moved away is brought to its end", async () => {
    mark("committed");
    fs.mkdirSync(join(area(), "old"));
    move("a", `${RESTORE_AREA}/old/a`);
    await finishRestoreAt(volume);
    expect(found()).toEqual({ a: "new", c: "new" });
  });

  test("with half of the new in its place is brought to its end", async () => {
    mark("committed");
    mark("cleared");
    fs.mkdirSync(join(area(), "old"));
    move("a", `${RESTORE_AREA}/old/a`);
    move("b", `${RESTORE_AREA}/old/b`);
    move(`${RESTORE_AREA}/new/a`, "a");
    await finishRestoreAt(volume);
    expect(found()).toEqual({ a: "new", c: "new" });
  });

  test("is no part of the volume's next archive", async () => {
    const archive = Buffer.from(await archiveOf(volume));
    expect(archive.includes(RESTORE_AREA)).toBe(false);
  });
});
