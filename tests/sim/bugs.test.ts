import { describe, expect, test } from "bun:test";
import { BUGS, type Bug } from "./bugs.ts";
import { runSimulation } from "./run.ts";

/** Most bugs show within a few seeds; the rarest needs a crash at the right moment. */
const SEEDS_MAX = 800;
const DEADLINE_MS = 60_000;

/** The first invariant that breaks under the bug. */
async function findBreach(bug: Bug): Promise<string> {
  const first = bug.firstSeed ?? 1;
  for (let seed = first; seed < first + SEEDS_MAX; seed++) {
    const { violation } = await runSimulation({ seed: String(seed), bug });
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
