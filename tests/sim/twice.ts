import { runSimulation, type RunOptions, type RunResult } from "./run.ts";

/** Runs a seed twice: it has to be the same run, or nobody can see again what it showed. */
export async function runTwice(options: RunOptions): Promise<RunResult> {
  const first = await runSimulation(options);
  if (first.violation !== undefined) return first;
  const { hash } = await runSimulation(options);
  if (hash === first.hash) return first;
  const message = `the run has hash ${first.hash}, and the next one of its seed ${hash}`;
  return { ...first, violation: { invariant: "M1", message } };
}
