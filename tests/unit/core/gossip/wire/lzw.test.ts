import { expect, test } from "bun:test";
import { lzwPack, lzwUnpack } from "../../../../../src/core/gossip/wire/lzw.ts";
import { randomBelow, seededRandom } from "../../../../../src/lib/random.ts";

test("whatever is packed is unpacked the same", () => {
  const random = seededRandom("lzw");
  for (let i = 0; i < 300; i++) {
    const letters = 1 + randomBelow(random, 256);
    const length = randomBelow(random, i % 50 === 0 ? 40_000 : 600);
    const bytes = Uint8Array.from({ length }, () => randomBelow(random, letters));
    expect(lzwUnpack(lzwPack(bytes), 40_000)).toEqual(bytes);
  }
});

test("what comes to exactly the limit is unpacked, and one byte more is not", () => {
  const packed = lzwPack(new Uint8Array(5000));
  expect(lzwUnpack(packed, 5000)).toHaveLength(5000);
  expect(lzwUnpack(packed, 4999)).toBe("tooLarge");
});

test("packed bytes cut off anywhere are refused", () => {
  const packed = lzwPack(Uint8Array.from({ length: 600 }, (_, at) => (at * at) & 0xff));
  for (let length = 0; length < packed.length; length++) {
    expect(lzwUnpack(packed.subarray(0, length), 1000)).toBe("badCompression");
  }
});

test("random bytes are unpacked or refused, within the limit", () => {
  const random = seededRandom("unpack");
  for (let i = 0; i < 5000; i++) {
    const length = randomBelow(random, 300);
    const bytes = Uint8Array.from({ length }, () => randomBelow(random, 256));
    const unpacked = lzwUnpack(bytes, 2000);
    if (typeof unpacked !== "string") expect(unpacked.length).toBeLessThanOrEqual(2000);
  }
});
