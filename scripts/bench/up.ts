import { HELLO_IMAGE } from "../image.ts";
import { bun, root } from "../project.ts";
import { join } from "node:path";
import { $ } from "zx";
import { benchHost, sleepers, type BenchHost } from "./bench-host.ts";
import { median, type Figure } from "./figure.ts";
import { timed } from "./work.ts";

/** `orchd up` until all tasks run, against the same containers started without orchd. */
export async function benchUp(pairs: number): Promise<Figure[]> {
  const bench = await benchHost();
  try {
    // The first containers of a machine are slower for reasons that neither side has a hand in.
    await upOnce(bench, 10);
    const figures: Figure[] = [];
    for (const replicas of [50, 100]) figures.push(...(await compare(bench, replicas, pairs)));
    return figures;
  } finally {
    await bench.host.stop();
  }
}

async function compare(bench: BenchHost, replicas: number, pairs: number): Promise<Figure[]> {
  const ours: number[] = [];
  const raw: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    ours.push(await upOnce(bench, replicas));
    raw.push(await rawOnce(bench, replicas));
    console.log(`  ${replicas} tasks: orchd ${text(ours)}, raw ${text(raw)}`);
  }
  const ratios = ours.map((ms, at) => ms / (raw[at] ?? Number.NaN));
  return [
    {
      what: `up, ${replicas} tasks, until all run`,
      value: median(ratios),
      unit: "x",
      limit: 1.15,
      samples: ratios,
      reference: `raw Podman ${text([median(raw)])}, orchd ${text([median(ours)])}`,
    },
  ];
}

async function upOnce({ host }: BenchHost, replicas: number): Promise<number> {
  const file = host.write("bench.yaml", sleepers("bench", replicas));
  const ms = await timed(async () => host.must("up", "-f", file));
  await host.must("down", "bench");
  return ms;
}

async function rawOnce({ host, podmanSocket }: BenchHost, replicas: number): Promise<number> {
  const format = "{{(index .Subnets 0).Subnet}}";
  const subnet = await host.podman("network", "inspect", "orchd0", "--format", format);
  const script = join(root, "scripts", "bench", "raw-start.ts");
  const words = [script, podmanSocket, String(replicas), subnet, HELLO_IMAGE];
  const { stdout } = await $({ quiet: true })`${bun} ${words}`;
  const filter = "label=orchd.stack=raw";
  const ids = (await host.podman("ps", "-aq", "--filter", filter)).split("\n");
  await host.podman("rm", "--force", "--time", "0", ...ids);
  return Number(stdout);
}

function text(values: readonly number[]): string {
  return values.map((ms) => `${(ms / 1000).toFixed(2)} s`).join(" ");
}
