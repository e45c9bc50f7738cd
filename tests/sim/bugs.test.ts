import { describe, expect, test } from "bun:test";
import type { Bug } from "./bug.ts";
import { BUGS } from "./bugs.ts";
import { runSimulation } from "./run.ts";
import { runTwice } from "./twice.ts";
import { INVARIANTS } from "./violation.ts";

/** Most bugs show at once; where changes of the project made a bug's own seed another run, soon. */
const SEEDS_MAX = 800;
const DEADLINE_MS = 60_000;

/** Whether a run of the bug breaks what it is to break; one that it only disturbs goes by. */
async function isFound(bug: Bug): Promise<boolean> {
  const run = bug.breaks === "M1" ? runTwice : runSimulation;
  const others = Array.from({ length: SEEDS_MAX }, (_, i) => String(i + 1));
  for (const seed of [...(bug.seed === undefined ? [] : [bug.seed]), ...others]) {
    const { violation } = await run({ seed, bug });
    if (violation?.invariant === bug.breaks) return true;
  }
  return false;
}

describe("the checkers find a bug that was put in on purpose", () => {
  for (const bug of BUGS) {
    const title = `${bug.name} breaks ${bug.breaks}`;
    test(title, async () => expect(await isFound(bug)).toBe(true), DEADLINE_MS);
  }
});

describe("every invariant", () => {
  test("is broken by a bug that its own checker finds", () => {
    const found = new Set(BUGS.map((bug): string => bug.breaks));
    expect(Object.keys(INVARIANTS).filter((key) => !found.has(key))).toEqual([]);
  });
});
