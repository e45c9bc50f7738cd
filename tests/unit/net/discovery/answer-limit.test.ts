import { expect, test } from "bun:test";
import { AnswerLimit } from "../../../../src/net/discovery/answer-limit.ts";

/** How many answers an address gets when it asks so often at once. */
function taken(limit: AnswerLimit, address: string, asks: number, now: number): number {
  return Array.from({ length: asks }, () => limit.takes(address, now)).filter((is) => is).length;
}

test("a flood from one address takes no answer from another one", () => {
  const limit = new AnswerLimit();
  expect(taken(limit, "10.0.0.1", 1000, 5000)).toBe(10);
  expect(taken(limit, "10.0.0.2", 3, 5400)).toBe(3);
});

test("all addresses together get so many answers in a second and no more", () => {
  const limit = new AnswerLimit();
  const flood = (now: number) =>
    Array.from({ length: 256 }, (_, i) => taken(limit, `10.0.0.${i}`, 10, now));
  const sum = (counts: number[]) => counts.reduce((a, b) => a + b, 0);
  expect(sum(flood(5000))).toBe(200);
  expect(sum(flood(5999))).toBe(0);
  expect(sum(flood(6000))).toBe(200);
});

test("a clock that is set back answers again", () => {
  const limit = new AnswerLimit();
  taken(limit, "10.0.0.1", 100, 9_000_000);
  expect(limit.takes("10.0.0.1", 1000)).toBe(true);
});
