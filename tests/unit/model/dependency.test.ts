import { describe, expect, test } from "bun:test";
import { findCycle } from "../../../src/model/dependency.ts";

describe("a circle of dependencies", () => {
  const cases: [string, Record<string, string[]>, string | undefined][] = [
    ["of none is none", { a: ["b"], b: ["c"], c: [] }, undefined],
    ["may name what is not there", { a: ["x"] }, undefined],
    ["is no two ways to one", { a: ["b", "c"], b: ["d"], c: ["d"], d: [] }, undefined],
    ["is told with its first name at the end", { a: ["b"], b: ["a"] }, "a b a"],
    ["of one is one", { a: [], b: ["b"] }, "b b"],
    ["is told without the way to it", { a: ["b"], b: ["c"], c: ["d"], d: ["b"] }, "b c d b"],
  ];
  for (const [title, edges, cycle] of cases) {
    test(title, () => expect(findCycle(new Map(Object.entries(edges)))?.join(" ")).toBe(cycle));
  }

  test("is looked for in a chain of ten thousand", () => {
    const edges = new Map(Array.from({ length: 10_000 }, (_, i) => [`s${i}`, [`s${i + 1}`]]));
    expect(findCycle(edges)).toBeUndefined();
    edges.set("s10000", ["s9999"]);
    expect(findCycle(edges)).toEqual(["s9999", "s10000", "s9999"]);
  });
});
