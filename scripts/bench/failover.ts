import type { FleetHost } from "../lab/fleet.ts";
import { waitUntil } from "../lab/lab.ts";
import { sleepers } from "./bench-host.ts";
import { median, type Figure } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";

const TASKS_PER_NODE = 10;
const DOWN_LIMIT_MS = 4_000;
const RUNNING_LIMIT_MS = 9_000;
const WAIT_MS = 30_000;

type Fault = "power cut" | "cut link";

/** From the end of a node with ten tasks until it is known, and until others do its work. */
export async function benchFailover(times: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const nodes of [3, 5]) {
    const bench = await BenchFleet.start(nodes);
    try {
      for (const fault of ["power cut", "cut link"] as const) {
        figures.push(...(await repeat(bench, nodes, fault, times)));
      }
    } finally {
      await bench.stop();
    }
  }
  return figures;
}

async function repeat(
  bench: BenchFleet,
  nodes: number,
  fault: Fault,
  times: number,
): Promise<Figure[]> {
  const down: number[] = [];
  const running: number[] = [];
  for (let time = 0; time < times; time++) {
    const took = await once(bench, nodes, fault);
    console.log(`  ${nodes} nodes, ${fault}, ${took.tasks} tasks: ${JSON.stringify(took)}`);
    down.push(took.downMs);
    running.push(took.runningMs);
  }
  const where = `${fault} of 1 of ${nodes} nodes`;
  return [
    ...both(`${where} until it is down`, down, DOWN_LIMIT_MS),
    ...both(`${where} until its ${TASKS_PER_NODE} tasks run elsewhere`, running, RUNNING_LIMIT_MS),
  ];
}

/** Ends with the fleet as it was, without tasks. */
async function once(bench: BenchFleet, nodes: number, fault: Fault) {
  const count = nodes * TASKS_PER_NODE;
  const victim = bench.fleet.host(`h${nodes}`);
  await bench.server.mustUp(sleepers("bench", count));
  await bench.waitRunning(count);
  const tasks = (await bench.tasks()).filter((task) => task.node === victim.name).length;
  const begin = performance.now();
  // The tasks are gone when the first process is: what is waited for afterwards is the cleaning up.
  const done = fault === "power cut" ? victim.cutPower() : victim.cutLink();
  await waitUntil(`${victim.name} is down`, WAIT_MS, async () => {
    return (await bench.nodes()).some(
      ({ hostname, health }) => hostname === victim.name && health === "down",
    );
  });
  const downMs = performance.now() - begin;
  await bench.waitRunning(count, victim.name);
  const runningMs = performance.now() - begin;
  await done;
  await bringBack(victim, fault);
  await bench.waitReady(nodes);
  await bench.server.must("down", "bench");
  return { tasks, downMs: Math.round(downMs), runningMs: Math.round(runningMs) };
}

async function bringBack(victim: FleetHost, fault: Fault): Promise<void> {
  if (fault === "cut link") return victim.mendLink();
  await victim.boot();
  victim.spawnAgent();
}

function both(what: string, samples: number[], limit: number): Figure[] {
  const unit = { unit: "ms", limit, samples };
  return [
    { what: `${what}, median`, value: median(samples), ...unit },
    { what: `${what}, worst`, value: Math.max(...samples), ...unit },
  ];
}
