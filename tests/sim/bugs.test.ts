import { describe, expect, test } from "bun:test";
import type { Bug } from "./bug.ts";
import { BUGS } from "./bugs.ts";
import { runSimulation } from "./run.ts";

/** Most bugs show at once; where changes of the project made a bug's own seed another run, soon. */
const SEEDS_MAX = 800;
const DEADLINE_MS = 60_000;

/** The first invariant that breaks under the bug. */
async function findBreach(bug: Bug): Promise<string> {
  const others = Array.from({ length: SEEDS_MAX }, (_, i) => String(i + 1));
  for (const seed of [...(bug.seed === undefined ? [] : [bug.seed]), ...others]) {
    const { violation } = await runSimulation({ seed, bug });
    if (violation !== undefined) return violation.invariant;
  }
  return "nothing";
}

describe("the checkers find a bug that was put in on purpose", () => {
  for (const bug of BUGS) {
    test(
      bug.name,
      async () => expect(bug.breaks as string[]).toContain(await findBreach(bug)),
      DEADLINE_MS,
    );
  }
});
