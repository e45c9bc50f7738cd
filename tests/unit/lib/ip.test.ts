import { expect, test } from "bun:test";
import { isInRange, parseIpRange } from "../../../src/lib/ip.ts";

const isIn = (host: string, range: string) => {
  const parsed = parseIpRange(range);
  return parsed !== undefined && isInRange(host, parsed);
};

test("a range holds the addresses that begin with the same bits", () => {
  expect(isIn("10.1.2.3", "10.1.2.0/30")).toBe(true);
  expect(isIn("10.1.2.4", "10.1.2.0/30")).toBe(false);
  expect(isIn("255.0.0.1", "0.0.0.0/0")).toBe(true);
  expect(isIn("10.1.2.3", "10.1.2.3")).toBe(true);
  expect(isIn("fd00:1::5", "fd00:1::/33")).toBe(true);
  expect(isIn("fd00:1:8000::5", "fd00:1::/33")).toBe(false);
  expect(isIn("10.1.2.3", "::/0")).toBe(false);
  expect(isIn("no address", "0.0.0.0/0")).toBe(false);
});

test("what is no range is told apart", () => {
  const texts = ["", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "fd00::/129", "x/8"];
  expect(texts.filter((text) => parseIpRange(text) !== undefined)).toEqual([]);
});
