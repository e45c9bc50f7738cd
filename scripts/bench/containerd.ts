import { join } from "node:path";
import { $ } from "zx";
import { bun, root } from "../project.ts";
import { median, round, type Figure } from "./figure.ts";

interface Pairs {
  ours: number[];
  theirs: number[];
}

/** Milliseconds until containers run, by orchd's driver and by `ctr run -d`. */
export interface ContainerdStarts {
  one: Pairs;
  /** Twenty, made at once. */
  many: Pairs;
}

/** Layers that were put into one containerd, one after the other. */
export interface ContainerdUploads {
  bytes: number;
  ms: number[];
  stalled: number;
}

const STARTS_PER_ROUND = 3;
const UPLOADS = 100;
const SCRIPT = join(root, "scripts", "bench", "containerd-start.ts");
const bunScript = $({ quiet: true });

/** Containers of containerd against its own command line, and layers into it. */
export async function benchContainerd(rounds: number): Promise<Figure[]> {
  const starts = await bunScript`${bun} ${SCRIPT} start ${rounds * STARTS_PER_ROUND}`;
  const uploads = await bunScript`${bun} ${SCRIPT} upload ${UPLOADS}`;
  const { one, many } = JSON.parse(starts.stdout) as ContainerdStarts;
  return [
    ratioOf("containerd: create to running, 1", one),
    ratioOf("containerd: create to running, 20 at once", many),
    ...uploadFigures(JSON.parse(uploads.stdout) as ContainerdUploads),
  ];
}

function ratioOf(what: string, { ours, theirs }: Pairs): Figure {
  const samples = ours.map((ms, at) => ms / (theirs[at] ?? Number.NaN));
  return {
    what,
    value: median(samples),
    unit: "x",
    limit: 1.15,
    samples,
    reference: `ctr run -d ${round(median(theirs))} ms, orchd ${round(median(ours))} ms`,
  };
}

function uploadFigures({ bytes, ms, stalled }: ContainerdUploads): Figure[] {
  const speeds = ms.map((each) => bytes / 1e6 / (each / 1000));
  const what = `containerd: a layer of ${bytes / 1e6} MB`;
  return [
    {
      what: `${what}, ${ms.length} times, into one`,
      value: median(speeds),
      unit: "MB/s",
      limit: 40,
      atLeast: true,
      samples: speeds,
      reference: `the slowest ${round(Math.min(...speeds))} MB/s`,
    },
    { what: `${what}: stalled`, value: stalled, unit: "", limit: 0, samples: [stalled] },
  ];
}
