import { expect, test } from "bun:test";
import { EvictionBudget } from "../../../src/server/eviction-budget.ts";

test("so many tasks may end for others in a minute, and a clock that jumps holds up none", () => {
  const budget = new EvictionBudget();
  const all = budget.left(0);
  budget.spend(all - 1, 1000);
  expect(budget.left(2000)).toBe(1);
  budget.spend(1, 2000);
  expect([budget.left(60_999), budget.growsAt(60_999)]).toEqual([0, 61_000]);
  expect(budget.left(61_000)).toBe(all - 1);
  expect(budget.left(500)).toBe(all);
});
