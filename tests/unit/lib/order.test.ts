import { describe, expect, test } from "bun:test";
import { compareText, equalJson, sortedBy } from "../../../src/lib/order.ts";

test("texts are ordered by code unit, whatever the locale", () => {
  expect(["b", "a", "B", "é", "Z"].sort(compareText)).toEqual(["B", "Z", "a", "b", "é"]);
});

test("sorting leaves its input as it was", () => {
  const input = [{ id: "b" }, { id: "a" }];
  expect(sortedBy(input, (item) => item.id)).toEqual([{ id: "a" }, { id: "b" }]);
  expect(input).toEqual([{ id: "b" }, { id: "a" }]);
});

describe("two JSON values are equal", () => {
  const same: [string, unknown, unknown][] = [
    ["when their keys come in another order", { a: 1, b: [2] }, { b: [2], a: 1 }],
    ["when one lacks a key that is undefined in the other", { a: undefined }, {}],
    ["when both are empty lists", [], []],
  ];
  for (const [when, a, b] of same) {
    test(when, () => expect([equalJson(a, b), equalJson(b, a)]).toEqual([true, true]));
  }
});

describe("two JSON values differ", () => {
  const different: [string, unknown, unknown][] = [
    ["when a list is in another order", [1, 2], [2, 1]],
    ["when a list is a part of the other", [1], [1, 2]],
    ["when one is a list and one an object", [], {}],
    ["when one is null", null, {}],
    ["when one has a key more", { a: 1 }, { a: 1, b: 0 }],
    ["when a number is written as text", 1, "1"],
    ["deep inside", { a: { b: [{ c: 1 }] } }, { a: { b: [{ c: 2 }] } }],
  ];
  for (const [when, a, b] of different) {
    test(when, () => expect([equalJson(a, b), equalJson(b, a)]).toEqual([false, false]));
  }
});
