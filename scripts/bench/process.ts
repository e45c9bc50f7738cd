import { join } from "node:path";
import { $ } from "zx";
import { bun, root } from "../project.ts";
import { median, round, type Figure } from "./figure.ts";

/** Milliseconds of each start, in the order of the pairs. */
export interface Starts {
  /** By nothing but fork and exec. */
  plain: number[];
  /** As a task's process in the node's own network, and on its bridge. */
  host: number[];
  bridge: number[];
  /** Making what the start then lets go. */
  created: number[];
}

const LIMIT_MS = 10;
const PAIRS_PER_ROUND = 10;
const SCRIPT = join(root, "scripts", "bench", "process-start.ts");

/** How much longer a program takes as a task's process than by fork and exec alone. */
export async function benchProcess(rounds: number): Promise<Figure[]> {
  const { stdout } = await $({ quiet: true })`${bun} ${SCRIPT} ${rounds * PAIRS_PER_ROUND}`;
  const starts = JSON.parse(stdout) as Starts;
  const { plain, created } = starts;
  const above = (values: number[]) => values.map((ms, at) => ms - (plain[at] ?? Number.NaN));
  const figure = (what: string, samples: number[]): Figure => ({
    what: `process: ${what}`,
    value: median(samples),
    unit: "ms",
    samples,
    reference: `fork and exec ${round(median(plain))} ms`,
  });
  return [
    { ...figure("start above fork and exec", above(starts.host)), limit: LIMIT_MS },
    figure("start above fork and exec, with a link to the bridge", above(starts.bridge)),
    figure("create, which makes everything but the program", created),
  ];
}
