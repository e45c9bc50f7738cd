import { describe, expect, test } from "bun:test";
import { INVARIANTS } from "./violation.ts";

/** The numbers of what has to hold, whoever holds it. */
const NUMBERS = [
  ...numbersOf("T", 8),
  ...numbersOf("S", 18),
  ...numbersOf("O", 3),
  ...numbersOf("M", 2),
];

function numbersOf(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
}

interface Row {
  key: string;
  what: string;
  /** Undefined for what a checker of the simulation holds. */
  test: { path: string; title: string } | undefined;
}

/** The table of the README that tells where each number is held. */
async function readTable(): Promise<Row[]> {
  const text = await Bun.file("tests/sim/README.md").text();
  return text.split("\n").flatMap((line): Row[] => {
    const cells = line.split("|").map((cell) => cell.trim());
    const [, key = "", what = "", where = ""] = cells;
    const [, path, title] = /^`(tests\/[^`]+)`: (.+)$/.exec(where) ?? [];
    if (path !== undefined && title !== undefined) return [{ key, what, test: { path, title } }];
    return where === "here" ? [{ key, what, test: undefined }] : [];
  });
}

describe("the table of where each number is held", () => {
  test("has every number", async () => {
    const told = new Set((await readTable()).map(({ key }) => key));
    expect(NUMBERS.filter((key) => !told.has(key))).toEqual([]);
  });

  test("says the same of the simulation as its checkers do", async () => {
    const told = (await readTable()).filter(({ test: other }) => other === undefined);
    expect(Object.fromEntries(told.map(({ key, what }) => [key, what]))).toEqual(INVARIANTS);
  });

  test("names tests that are there", async () => {
    const missing = [];
    for (const { key, test: named } of await readTable()) {
      if (named === undefined) continue;
      const text = await Bun.file(named.path).text();
      if (!text.includes(`"${named.title}"`)) missing.push(`${key}: ${named.title}`);
    }
    expect(missing).toEqual([]);
  });
});
