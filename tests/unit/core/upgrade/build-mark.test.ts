import { describe, expect, test } from "bun:test";
import { MarkReader } from "../../../../src/core/upgrade/build-mark.ts";

/** Bytes that begin as an executable for the machine does; 62 is amd64, 183 arm64. */
function anElf(machine: number, text: string): Uint8Array {
  const head = [0x7f, 0x45, 0x4c, 0x46, 2, 1, ...Array.from({ length: 12 }, () => 0), machine, 0];
  return new Uint8Array([...head, ...new TextEncoder().encode(`${"x".repeat(1000)}${text}`)]);
}

function markIn(bytes: Uint8Array, pieceBytes = bytes.length) {
  const reader = new MarkReader();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    reader.push(bytes.subarray(at, at + pieceBytes));
  }
  return reader.finish();
}

const MARK =
  "orchd-build:version=2.0.0-rc.1;commit=abc+changes;platform=linux/amd64;protocol=3;end";

describe("an executable of orchd", () => {
  test("says what it is, also where that is cut into pieces", () => {
    const value = {
      version: "2.0.0-rc.1",
      commit: "abc+changes",
      platform: "linux/amd64",
      protocol: 3,
    };
    for (const piece of [1, 7, 64, 5000]) {
      expect(markIn(anElf(62, MARK), piece)).toEqual({ ok: true, value });
    }
  });

  test("from before protocols were told speaks the first one", () => {
    expect(markIn(anElf(62, MARK.replace("protocol=3;", "")))).toMatchObject({
      value: { protocol: 1 },
    });
  });

  const refused: [string, Uint8Array, string][] = [
    ["is empty", new Uint8Array(), "no executable of orchd"],
    ["is another program", anElf(62, "hello"), "no executable of orchd"],
    ["is a script that only says so", new TextEncoder().encode(MARK), "no executable of orchd"],
    ["is cut off", anElf(62, MARK).subarray(0, -5), "no executable of orchd"],
    ["is for a machine that there is not", anElf(8, MARK), "no executable of orchd"],
    ["says another machine than it is for", anElf(183, MARK), "and is for linux/arm64"],
    ["has no version", anElf(62, MARK.replace("2.0.0-rc.1", "next")), "no executable of orchd"],
  ];
  test.each(refused)("that %s is none", (_what, bytes, problem) => {
    expect(markIn(bytes)).toMatchObject({ ok: false });
    expect(JSON.stringify(markIn(bytes))).toContain(problem);
  });
});
