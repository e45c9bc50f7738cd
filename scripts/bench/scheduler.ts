import { join } from "node:path";
import { $ } from "zx";
import { bun, root } from "../project.ts";
import { median, one, round, type Figure } from "./figure.ts";

/** How big a cluster is, and what it is to place. */
export interface Shape {
  nodes: number;
  tasks: number;
  /** So many tasks are decided at once, as when a service has been made. */
  batch: number;
  /** With a constraint that a third of the nodes meet, reservations and a spread preference. */
  constrained: boolean;
  /** How often one task more is placed afterwards: of a service that is there, and of a new one. */
  onesMore: number;
}

export interface Took {
  ms: number;
  /** Of all threads, those of the engine included. */
  cpuMs: number;
}

/** What the process of a shape measured. */
export interface ShapeResult {
  batches: Took[];
  oneMore: Took[];
  /** How long counting all loads anew takes, which a server does once. */
  rebuildMs: number;
  peakBytes: number;
}

type Named = Omit<Shape, "onesMore"> & { perSecond?: number };

const SERVICE = 10_000;
/** The shapes of swarmkit's BenchScheduler, and those that go beyond. */
const SHAPES: readonly Named[] = [
  ...bothWays({ nodes: 100, tasks: 1000, batch: 100 }),
  ...bothWays({ nodes: 1000, tasks: 1000, batch: 100 }),
  ...bothWays({ nodes: 1000, tasks: 10_000, batch: 1000, perSecond: 100_000 }),
  ...bothWays({ nodes: 1000, tasks: 100_000, batch: SERVICE, perSecond: 100_000 }),
  ...bothWays({ nodes: 5000, tasks: 100_000, batch: SERVICE, perSecond: 50_000 }),
  // All that the shape has comes at once, ten times one after the other.
  ...bothWays({ nodes: 100_000, tasks: 10_000, batch: 1000, perSecond: 50_000 }),
  ...bothWays({ nodes: 100_000, tasks: 100_000, batch: SERVICE, perSecond: 50_000 }),
  ...bothWays({ nodes: 5000, tasks: 1_000_000, batch: SERVICE, perSecond: 50_000 }),
];
const GROWTH_MIN = 0.9;
const MEMORY_MAX_GIB = 4;
const ONES_MORE = 200;

/** How fast tasks are placed, and whether that becomes slower as the cluster fills. */
export async function benchScheduler(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const shape of SHAPES) {
    const result = await runShape({ ...shape, onesMore: 0 });
    figures.push(...figuresOf(shape, result));
  }
  const shape = { nodes: 10_000, tasks: 100_000, batch: SERVICE, onesMore: ONES_MORE };
  for (const constrained of [false, true]) {
    const { oneMore, rebuildMs } = await runShape({ ...shape, constrained });
    const what = nameOf({ ...shape, constrained });
    for (const [at, which] of ["of a service that is there", "of a new service"].entries()) {
      const took = oneMore.filter((_, i) => i % 2 === at);
      figures.push({
        ...one(`${what}: one task more, ${which}`, median(took.map(({ cpuMs }) => cpuMs)), "ms", 1),
        reference: `by the clock ${round(median(took.map(({ ms }) => ms)))} ms`,
      });
    }
    figures.push(one(`${what}: all loads counted anew, as at a start`, rebuildMs, "ms"));
  }
  return figures;
}

/** By the processor time that it took: others may be at work on the machine. */
function figuresOf(shape: Named, { batches, peakBytes }: ShapeResult): Figure[] {
  const what = nameOf(shape);
  const { tasks, perSecond } = shape;
  const cpuMs = sum(batches.map((took) => took.cpuMs));
  const ms = sum(batches.map((took) => took.ms));
  const goal = perSecond === undefined ? {} : { limit: perSecond };
  const tenth = Math.max(1, Math.floor(batches.length / 10));
  const first = sum(batches.slice(0, tenth).map((took) => took.cpuMs));
  const last = sum(batches.slice(-tenth).map((took) => took.cpuMs));
  const growth = one(`${what}: last tenth / first`, first / last, "");
  const memory = one(`${what}: peak memory`, peakBytes / 2 ** 30, "GiB", MEMORY_MAX_GIB);
  return [
    {
      ...one(`${what}: placements per second of a core`, (tasks * 1000) / cpuMs, "/s"),
      ...goal,
      atLeast: true,
      reference: `by the clock ${round((tasks * 1000) / ms)}/s`,
    },
    perSecond === undefined ? growth : { ...growth, limit: GROWTH_MIN, atLeast: true },
    memory,
  ];
}

async function runShape(shape: Shape): Promise<ShapeResult> {
  const script = join(root, "scripts", "bench", "scheduler-process.ts");
  const words = JSON.stringify(shape);
  // One core is what the figures are for.
  const { stdout } = await $({ quiet: true })`taskset -c 0 ${bun} ${script} ${words}`;
  return JSON.parse(stdout) as ShapeResult;
}

function bothWays(shape: Omit<Named, "constrained">): Named[] {
  return [false, true].map((constrained) => ({ ...shape, constrained }));
}

function nameOf({ nodes, tasks, batch, constrained }: Omit<Named, "perSecond">): string {
  const all = `${nodes.toLocaleString("en")} nodes × ${tasks.toLocaleString("en")}`;
  const atOnce = `${batch.toLocaleString("en")} at once`;
  return `${all}, ${atOnce}${constrained ? ", constraints" : ""}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
