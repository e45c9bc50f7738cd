import { describe, expect, test } from "bun:test";
import { MarkReader } from "../../../../src/core/upgrade/build-mark.ts";

/** Bytes that begin as an executable for the machine does; 62 is amd64, 183 arm64. */
function anElf(machine: number, text: string): Uint8Array {
  const body = new TextEncoder().encode(`:${"x:".repeat(500)}${text}`);
  const head = new DataView(new ArrayBuffer(64));
  new Uint8Array(head.buffer).set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  head.setUint16(18, machine, true);
  // Two sections of 64 bytes each at its end.
  head.setBigUint64(0x28, BigInt(64 + body.length), true);
  head.setUint16(0x3a, 64, true);
  head.setUint16(0x3c, 2, true);
  return new Uint8Array([...new Uint8Array(head.buffer), ...body, ...new Uint8Array(128)]);
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
    ["is cut off", anElf(62, MARK).subarray(0, -5), "it is cut off"],
    ["ends in its head", anElf(62, MARK).subarray(0, 40), "no executable of orchd"],
    ["is for a machine that there is not", anElf(8, MARK), "no executable of orchd"],
    ["says another machine than it is for", anElf(183, MARK), "and is for linux/arm64"],
    ["has no version", anElf(62, MARK.replace("2.0.0-rc.1", "next")), "no executable of orchd"],
  ];
  test.each(refused)("that %s is none", (_what, bytes, problem) => {
    expect(markIn(bytes)).toMatchObject({ ok: false });
    expect(JSON.stringify(markIn(bytes))).toContain(problem);
  });
});
