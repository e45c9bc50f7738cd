import { expect, test } from "bun:test";
import { compareVersions, parseVersion } from "../../../src/lib/version.ts";

test("versions are in the order of Semantic Versioning", () => {
  const order = [
    "0.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0",
    "v1.0.1+build",
    "1.2",
    "1.10",
    "2024.1",
  ];
  const shuffled = order.toSorted((a, b) => a.length - b.length || (a < b ? 1 : -1));
  const zero = { numbers: [], preRelease: [] };
  const of = (text: string) => parseVersion(text) ?? zero;
  expect(shuffled.toSorted((a, b) => compareVersions(of(a), of(b)))).toEqual(order);
  expect(compareVersions(of("1"), of("1.0.0"))).toBe(0);
});

test("what is no version is told apart", () => {
  const texts = ["", "x", "1.", ".1", "1..2", "1.0-", "1.0 beta", "-1", "1e5"];
  expect(texts.filter((text) => parseVersion(text) !== undefined)).toEqual([]);
});
