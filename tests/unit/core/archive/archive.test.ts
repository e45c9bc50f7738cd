import { describe, expect, test } from "bun:test";
import {
  type ArchiveEvent,
  type ArchiveLimits,
  ArchiveReader,
  type Hasher,
} from "../../../../src/core/archive/archive-reader.ts";
import { ArchiveTail } from "../../../../src/core/archive/archive-tail.ts";
import { ArchiveWriter } from "../../../../src/core/archive/archive-writer.ts";
import { encodeBlock } from "../../../../src/core/archive/block.ts";
import { byteStringOf, joined } from "../../../../src/core/archive/bytes.ts";
import {
  encodeEnd,
  encodeEntry,
  encodePaxBlock,
} from "../../../../src/core/archive/encode-entry.ts";
import type { ArchiveEntry } from "../../../../src/core/archive/entry.ts";
import { encodeBeginning, encodeTrailer, extendCrc32 } from "../../../../src/core/archive/seal.ts";
import { seededRandom } from "../../../../src/lib/random.ts";

const LIMITS: ArchiveLimits = { entriesMax: 1000, bytesMax: 1_000_000 };

function sha256(): Hasher {
  const hasher = new Bun.CryptoHasher("sha256");
  return { update: (bytes) => void hasher.update(bytes), digest: () => hasher.digest("hex") };
}

function anEntry(over: Partial<ArchiveEntry> = {}): ArchiveEntry {
  return {
    kind: "file",
    path: "a",
    mode: 0o640,
    uid: 70,
    gid: 70,
    mtimeUs: 1_700_000_000_000_000,
    size: 0,
    target: "",
    isSparse: false,
    attributes: [],
    ...over,
  };
}

interface Written {
  entry: ArchiveEntry;
  content?: Uint8Array;
}

function archiveOf(members: readonly Written[]): Uint8Array {
  const writer = new ArchiveWriter("volume archive", sha256());
  const parts = [writer.begin()];
  for (const { entry, content = new Uint8Array() } of members) {
    parts.push(writer.entry({ ...entry, size: content.length }), writer.data(content));
    parts.push(writer.padding(content.length));
  }
  return joined([...parts, writer.end({ changed: 0, skipped: 0 })]);
}

/** An archive with raw bytes in it, whose checksum is right all the same. */
function sealed(body: Uint8Array, counts: { entries: number; bytes: number }): Uint8Array {
  const writer = new ArchiveWriter("volume archive", sha256());
  const begin = writer.begin();
  const digest = new Bun.CryptoHasher("sha256").update(begin).update(body).digest("hex");
  const before = extendCrc32(0, joined([begin, body]));
  const end = encodeTrailer({ sha256: digest, ...counts, changed: 0, skipped: 0 }, before);
  return joined([begin, body, end]);
}

/** What a reader says of bytes that come in pieces of some size. */
function read(bytes: Uint8Array, pieceBytes = 700, limits = LIMITS): ArchiveEvent[] {
  const reader = new ArchiveReader("volume archive", sha256(), limits);
  const events: ArchiveEvent[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    for (const event of reader.push(bytes.subarray(at, at + pieceBytes))) {
      events.push(event.type === "data" ? { ...event, bytes: event.bytes.slice() } : event);
      if (event.type === "problem") return events;
    }
  }
  return [...events, reader.finish()];
}

function problemOf(bytes: Uint8Array, limits = LIMITS): string | undefined {
  const last = read(bytes, 700, limits).at(-1);
  return last?.type === "problem" ? last.message : undefined;
}

const TREE: Written[] = [
  { entry: anEntry({ kind: "directory", path: "", mode: 0o1777 }) },
  { entry: anEntry({ kind: "directory", path: "d", uid: 3_000_000_000, gid: 5_000_000 }) },
  { entry: anEntry({ path: `d/${"n".repeat(200)}`, mtimeUs: 1_700_000_000_123_456 }) },
  { entry: anEntry({ path: "d/text", isSparse: true }), content: Buffer.from("hello") },
  { entry: anEntry({ path: "d/block" }), content: new Uint8Array(512).fill(7) },
  { entry: anEntry({ path: "d/\u00ff\u00fe", mtimeUs: -1_500_000 }) },
  { entry: anEntry({ kind: "symlink", path: "l", target: "../../etc/passwd", mode: 0o777 }) },
  { entry: anEntry({ kind: "hardlink", path: "h", target: "d/text" }) },
  { entry: anEntry({ kind: "fifo", path: "p" }) },
  {
    entry: anEntry({
      path: "x",
      attributes: [{ name: "user.note", value: new Uint8Array([0, 10, 61, 255]) }],
    }),
  },
];

describe("an archive", () => {
  test("comes back as it was written, in pieces of whatever size", () => {
    const bytes = archiveOf(TREE);
    for (const pieceBytes of [1, 13, 512, 700, 1_000_000]) {
      const events = read(bytes, pieceBytes);
      const entries = events.flatMap((event) => (event.type === "entry" ? [event.entry] : []));
      expect(entries).toEqual(
        TREE.map(({ entry, content }) => ({ ...entry, size: content?.length ?? 0 })),
      );
      const data = events.flatMap((event) => (event.type === "data" ? [event.bytes] : []));
      expect(joined(data)).toEqual(joined(TREE.map(({ content = new Uint8Array() }) => content)));
      expect(events.at(-1)).toMatchObject({ type: "end", contents: { entries: 10, bytes: 517 } });
    }
  });

  test("that is cut off anywhere is refused", () => {
    const bytes = archiveOf(TREE);
    for (let length = 0; length < bytes.length; length += 61) {
      expect(problemOf(bytes.subarray(0, length))).toBeString();
    }
    expect(problemOf(bytes.subarray(0, bytes.length - 1))).toContain("cut off");
  });

  test("in which any byte was altered is refused", () => {
    const bytes = archiveOf(TREE);
    for (let at = 0; at < bytes.length; at += 37) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 0x11;
      expect(problemOf(altered)).toBeString();
    }
  });

  test("that goes on after its end is refused", () => {
    expect(problemOf(joined([archiveOf(TREE), new Uint8Array(1)]))).toContain("after its end");
  });

  test("of a newer orchd is refused, and so is anything else", () => {
    const text = Buffer.from(archiveOf([])).toString("latin1");
    const begin = encodePaxBlock(
      "g",
      "PaxHeader",
      new Map([["comment", "orchd volume archive 3"]]),
    );
    expect(problemOf(begin)).toContain("newer orchd");
    const other = encodePaxBlock(
      "g",
      "PaxHeader",
      new Map([["comment", "orchd cluster backup 1"]]),
    );
    expect(problemOf(other)).toBe("the archive is a cluster backup, and no volume archive");
    expect(text.length).toBeGreaterThan(0);
    expect(problemOf(encodeEntry(anEntry()))).toContain("no volume archive that orchd made");
    expect(problemOf(new Uint8Array(4096).fill(65))).toContain("no volume archive");
    expect(problemOf(new Uint8Array())).toContain("cut off");
  });

  test("of version 1, which has no CRC, is read by its SHA-256", () => {
    const begin = encodeBeginning("volume archive");
    const body = joined([begin, encodeEntry(anEntry())]);
    const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    const words = `orchd end sha256=${sha256} entries=1 bytes=0 changed=0 skipped=0`;
    const trailer = encodePaxBlock("g", "PaxHeader", new Map([["comment", words]]));
    expect(problemOf(joined([body, trailer, encodeEnd()]))).toBeUndefined();
  });

  test("tells whether it is whole without being taken apart", () => {
    const bytes = archiveOf(TREE);
    const tailOf = (given: Uint8Array) => {
      const tail = new ArchiveTail();
      for (let at = 0; at < given.length; at += 999) tail.push(given.subarray(at, at + 999));
      return tail.finish();
    };
    expect(tailOf(bytes)).toMatchObject({ entries: 10, bytes: 517 });
    expect(tailOf(bytes.subarray(0, bytes.length - 512))).toBeUndefined();
    const words = byteStringOf(bytes).lastIndexOf("skipped=");
    for (const at of [600, bytes.length - 3000, words - 2, words + "skipped=".length]) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect({ at, found: tailOf(altered) }).toEqual({ at, found: undefined });
    }
    expect(tailOf(new Uint8Array())).toBeUndefined();
  });
});

describe("an archive from somebody who means harm", () => {
  const refused = (entry: ArchiveEntry) =>
    problemOf(sealed(encodeEntry(entry), { entries: 1, bytes: 0 }));

  test("names no path outside of the volume", () => {
    for (const path of ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", ".."]) {
      expect(refused(anEntry({ path }))).toStartWith("the archive is refused");
    }
    // Names that are too long for a block come in records of their own.
    expect(refused(anEntry({ path: `${"x/".repeat(60)}../../x` }))).toContain("out of the volume");
    const records = encodePaxBlock("x", "p", new Map([["path", "a\0b"]]));
    const body = joined([records, encodeEntry(anEntry())]);
    expect(problemOf(sealed(body, { entries: 1, bytes: 0 }))).toContain("has a NUL");
    expect(refused(anEntry({ path: "x".repeat(256) }))).toContain("name too long");
    expect(refused(anEntry({ path: Array(300).fill("x").join("/") }))).toContain("too deep");
  });

  test("has no hard link out of the tree", () => {
    for (const target of ["/etc/shadow", "../x", ""]) {
      expect(refused(anEntry({ kind: "hardlink", target }))).toContain("links to somewhere else");
    }
  });

  test("has no devices", () => {
    for (const type of ["3", "4", "7", "L", "S", "\0"]) {
      const plain = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, link: "", size: 0 };
      const block = encodeBlock({ type, name: "dev", ...plain });
      expect(problemOf(sealed(block, { entries: 1, bytes: 0 }))).toContain("is a device");
    }
  });

  test("is no bomb", () => {
    const many = archiveOf(
      Array.from({ length: 11 }, (_, i) => ({ entry: anEntry({ path: `f${i}` }) })),
    );
    expect(problemOf(many, { entriesMax: 10, bytesMax: 10 })).toContain("more than 10 files");
    const claimed = sealed(encodeEntry(anEntry({ size: 2 ** 49 })), { entries: 1, bytes: 2 ** 49 });
    expect(problemOf(claimed)).toContain("more than there is room for");
    const pax = encodeBlock({
      type: "x",
      name: "p",
      mode: 0,
      uid: 0,
      gid: 0,
      mtimeSeconds: 0,
      link: "",
      size: 2_000_000,
    });
    expect(problemOf(sealed(pax, { entries: 1, bytes: 0 }))).toBe("the archive is damaged");
  });

  test("has no numbers that make no sense", () => {
    for (const [key, value] of [
      ["size", "-1"],
      ["size", "99999999999999999999"],
      ["uid", "4294967296"],
      ["gid", "NaN"],
      ["mtime", "1e99"],
      ["SCHILY.xattr.", "x"],
      ["SCHILY.xattr.user.x", "y".repeat(70_000)],
    ] as const) {
      const records = encodePaxBlock("x", "p", new Map([[key, value]]));
      const body = joined([records, encodeEntry(anEntry())]);
      expect(problemOf(sealed(body, { entries: 1, bytes: 0 }))).toContain("makes no sense");
    }
  });

  test("throws nothing and ends soon, whatever its bytes are", () => {
    const random = seededRandom("archive fuzz 1");
    const bytes = archiveOf(TREE);
    for (let round = 0; round < 400; round++) {
      const altered = bytes.slice();
      const changes = 1 + Math.floor(random.next() * 8);
      for (let i = 0; i < changes; i++) {
        altered[Math.floor(random.next() * altered.length)] = Math.floor(random.next() * 256);
      }
      const events = read(altered, 1 + Math.floor(random.next() * 2000));
      const isSame = Buffer.compare(altered, bytes) === 0;
      expect(events.at(-1)?.type).toBe(isSame ? "end" : "problem");
    }
  });
});
