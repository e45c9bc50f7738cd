import { expect, test } from "bun:test";
import { ID_PATTERN, newId } from "../../../src/lib/ids.ts";
import { seededRandom } from "../../../src/lib/random.ts";

test("a thousand ids of one source are legal host names and all different", () => {
  const random = seededRandom("ids");
  const ids = Array.from({ length: 1000 }, () => newId<"task">(random));
  expect(ids.filter((id) => !ID_PATTERN.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(1000);
});

test("the extremes of the source still give legal ids", () => {
  const constant = (value: number) => ({ next: () => value, split: () => constant(value) });
  expect(newId<"task">(constant(0))).toMatch(ID_PATTERN);
  expect(newId<"task">(constant(1 - 2 ** -32))).toMatch(ID_PATTERN);
});
