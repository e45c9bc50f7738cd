import { join } from "node:path";
import { $ } from "zx";
import { aSpec } from "../../tests/builders.ts";
import { bun, root } from "../project.ts";
import { benchHost, callSocket } from "./bench-host.ts";
import { median, type Figure } from "./figure.ts";
import { eachOf, timed } from "./work.ts";

const CHANGES = 2_000;
const ROUNDS = 3;

/** Changes that the API accepts a second, each durable before its answer, by so many clients. */
export async function benchWrites(): Promise<Figure[]> {
  const { host, socket } = await benchHost();
  try {
    const figures: Figure[] = [];
    for (const clients of [1, 16, 64]) {
      const rates: number[] = [];
      const raw: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        rates.push(await changesPerSecond(socket, clients, round));
        raw.push(await rawPerSecond(join(host.lab.dir, `raw-${clients}-${round}.db`)));
      }
      const reference = `raw SQLite, one row a transaction, fsync: ${median(raw).toFixed(0)}/s`;
      figures.push({
        what: `changes accepted by the API, ${clients} clients`,
        value: median(rates),
        unit: "/s",
        samples: rates,
        reference,
      });
    }
    return figures;
  } finally {
    await host.stop();
  }
}

/** Each client changes a label of stacks of its own, which start no task. */
async function changesPerSecond(socket: string, clients: number, round: number): Promise<number> {
  const indexes = Array.from({ length: CHANGES }, (_, i) => i);
  const ms = await timed(async () =>
    eachOf(indexes, clients, async (i) => {
      const labels = { change: `${round}-${i}` };
      const spec = { services: { app: aSpec({ replicas: 0, labels }) }, volumes: [] };
      const path = `/v1/stacks/bench-${i % clients}`;
      const { status, body } = await callSocket(socket, "PUT", path, spec);
      if (status !== 200) throw new Error(`a change was refused: ${status} ${body}`);
    }),
  );
  return (CHANGES * 1000) / ms;
}

async function rawPerSecond(path: string): Promise<number> {
  const script = join(root, "scripts", "bench", "sqlite-loop.ts");
  return Number((await $({ quiet: true })`${bun} ${script} ${path} ${CHANGES}`).stdout);
}
