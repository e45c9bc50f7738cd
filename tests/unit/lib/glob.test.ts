import { expect, test } from "bun:test";
import { matchesGlob } from "../../../src/lib/glob.ts";

test("a pattern fits whole texts", () => {
  const cases: [pattern: string, fits: string[], not: string[]][] = [
    ["*", ["", "a", "a.b"], []],
    ["pi-?", ["pi-1", "pi-\u{1f600}"], ["pi-", "pi-10"]],
    ["pi-*-west", ["pi-1-west", "pi--west-west"], ["pi-west", "pi-1-west-2"]],
    ["[a-c]x[!0-9]", ["axb", "cx-"], ["dxb", "ax1"]],
    ["[]", ["[]"], ["", "["]],
    ["a\\*b", ["a*b"], ["axb"]],
    ["**a*", ["a", "bab"], ["b"]],
  ];
  for (const [pattern, fits, not] of cases) {
    expect([pattern, fits.filter((text) => !matchesGlob(text, pattern))]).toEqual([pattern, []]);
    expect([pattern, not.filter((text) => matchesGlob(text, pattern))]).toEqual([pattern, []]);
  }
});

test("no pattern takes long", () => {
  const text = "a".repeat(255);
  let steps = 0;
  for (let i = 0; i < 200; i++) steps += matchesGlob(text, `${"*a".repeat(120)}*b`) ? 1 : 0;
  expect(steps).toBe(0);
});
