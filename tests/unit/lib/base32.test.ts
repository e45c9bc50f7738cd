import { expect, test } from "bun:test";
import { encodeBase32 } from "../../../src/lib/base32.ts";

const cases: [number[], string][] = [
  [[], ""],
  [[0], "00"],
  [[0xff], "zw"],
  [[0, 0, 0, 0, 0], "00000000"],
  [[1, 2, 3, 4, 5], "04106105"],
  [[0xff, 0xff, 0xff, 0xff, 0xff], "zzzzzzzz"],
  [[0xde, 0xad, 0xbe, 0xef], "vtpvxvr"],
];
test.each(cases)("bytes become five bits a character: %j is %s", (bytes, text) => {
  expect(encodeBase32(Uint8Array.from(bytes))).toBe(text);
});

test("different bytes of one length never become the same text", () => {
  const texts = Array.from({ length: 65_536 }, (_, i) => encodeBase32(Uint8Array.of(i >> 8, i)));
  expect(new Set(texts).size).toBe(65_536);
});
