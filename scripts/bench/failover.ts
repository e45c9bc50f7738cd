import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { HELLO_IMAGE } from "../image.ts";
import type { FleetHost } from "../lab/fleet.ts";
import { waitUntil } from "../lab/lab.ts";
import { median, type Figure } from "./figure.ts";
import { BenchFleet } from "./fleet.ts";
import { Knocker, type Failure } from "./knocker.ts";

const TASKS_PER_NODE = 10;
const PORT = 8080;
const DOWN_LIMIT_MS = 4_000;
const RUNNING_LIMIT_MS = 9_000;
/** Docker Swarm 20.10 on a machine of this kind, the median of 8. */
const SWARM_DOWN_MS = 12_500;
const SWARM_RUNNING_MS = 19_500;
const WAIT_MS = 30_000;
const FAILURES_SHOWN = 5;
/** A node fails while nothing else happens: what deploying costs is another figure. */
const REST_MS = 2_000;
/** A server that has just started takes no node for gone for 10 s. */
const SERVER_GRACE_MS = 11_000;

type Fault = "power cut" | "cut link";

/** What one fault took, in ms from its begin. */
interface Times {
  /** Until gossip doubts the node. */
  suspect: number;
  down: number;
  /** Until clients that follow the list of ready tasks are not sent to the node any more. */
  unused: number;
  /** Until the first task was made in the place of one there. */
  replaced: number;
  /** Until as many tasks as before are ready, all elsewhere. */
  running: number;
}

/** From the end of a node with ten tasks until it is known, and until others do its work. */
export async function benchFailover(times: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const nodes of [3, 5]) {
    const bench = await BenchFleet.start(nodes);
    try {
      await pause(SERVER_GRACE_MS);
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
  const all: Times[] = [];
  for (let time = 0; time < times; time++) all.push(await once(bench, nodes, fault));
  const where = `${fault} of 1 of ${nodes} nodes`;
  const work = `its ${TASKS_PER_NODE} tasks run elsewhere`;
  return [
    ...both(`${where} until it is down`, all, "down", DOWN_LIMIT_MS, SWARM_DOWN_MS),
    ...both(`${where} until nobody is sent there`, all, "unused", DOWN_LIMIT_MS, SWARM_DOWN_MS),
    ...both(`${where} until ${work}`, all, "running", RUNNING_LIMIT_MS, SWARM_RUNNING_MS),
  ];
}

/** Ends with the fleet as it was, without tasks. */
async function once(bench: BenchFleet, nodes: number, fault: Fault): Promise<Times> {
  const count = nodes * TASKS_PER_NODE;
  const victim = bench.fleet.host(`h${nodes}`);
  await bench.server.mustUp(pages(count));
  await bench.waitRunning(count);
  await bench.waitReady(nodes);
  const held = (await bench.tasks()).filter((task) => task.node === victim.name).length;
  if (held !== TASKS_PER_NODE) throw new Error(`${victim.name} has ${held} tasks`);
  const knocker = await Knocker.start(bench.fleet.host("h2"));
  knocker.ask(await endpoints(bench));
  await pause(REST_MS);
  const begin = performance.now();
  const beginAt = Date.now();
  // The tasks are gone when the first process is: what is waited for afterwards is the cleaning up.
  const done = fault === "power cut" ? victim.cutPower() : victim.cutLink();
  const seen = await watch(bench, victim, count, knocker, begin);
  await done;
  const { asked, failures } = await knocker.stop();
  const last = lastFailure(failures, victim.address) ?? beginAt;
  const times = { ...seen, unused: Math.max(0, last - beginAt) };
  const elsewhere = failures.filter(({ target }) => !target.startsWith(`${victim.address}:`));
  const load = `load ${(loadavg()[0] ?? 0).toFixed(1)}`;
  console.log(`  ${nodes} nodes, ${fault}: ${JSON.stringify(times)}; ${load}`);
  const there = failures.length - elsewhere.length;
  console.log(`    of ${asked} requests ${there} to it failed, ${elsewhere.length} to others`);
  for (const { target, at, why } of elsewhere.slice(0, FAILURES_SHOWN)) {
    console.log(`    ${target} after ${at - beginAt} ms: ${why}`);
  }
  await bringBack(victim, fault);
  await bench.waitReady(nodes);
  await bench.server.must("down", "bench");
  return times;
}

/** Looks on, until everything runs elsewhere, and keeps the clients to what is ready. */
async function watch(
  bench: BenchFleet,
  victim: FleetHost,
  count: number,
  knocker: Knocker,
  begin: number,
): Promise<Omit<Times, "unused">> {
  const before = new Set((await bench.tasks()).map((task) => task.id));
  const seen = { suspect: 0, down: 0, replaced: 0, running: 0 };
  const note = (what: keyof typeof seen, isSo: boolean) => {
    if (isSo && seen[what] === 0) seen[what] = Math.round(performance.now() - begin);
  };
  await waitUntil(`${count} tasks run without ${victim.name}`, WAIT_MS, async () => {
    const node = (await bench.nodes()).find(({ hostname }) => hostname === victim.name);
    const tasks = await bench.tasks();
    note("suspect", node?.health !== "ready");
    note("down", node?.health === "down");
    note(
      "replaced",
      tasks.some((task) => !before.has(task.id)),
    );
    const ready = tasks.filter((task) => task.ready);
    note("running", ready.filter((task) => task.node !== victim.name).length === count);
    knocker.ask(targetsOf(bench, ready));
    return seen.running > 0 && seen.down > 0;
  });
  return seen;
}

async function endpoints(bench: BenchFleet): Promise<string[]> {
  return targetsOf(
    bench,
    (await bench.tasks()).filter((task) => task.ready),
  );
}

/** The published ports of the nodes that have one of these tasks. */
function targetsOf(bench: BenchFleet, tasks: readonly { node?: string | undefined }[]): string[] {
  const names = new Set(tasks.map((task) => task.node));
  const hosts = bench.fleet.hosts.filter((host) => names.has(host.name));
  return hosts.map((host) => `${host.address}:${PORT}`);
}

function lastFailure(failures: readonly Failure[], address: string): number | undefined {
  const there = failures.filter(({ target }) => target.startsWith(`${address}:`));
  return there.length === 0 ? undefined : Math.max(...there.map(({ at }) => at));
}

/** So many copies of the example, behind one port of each node. */
function pages(replicas: number): string {
  return `name: bench
services:
  app:
    image: ${HELLO_IMAGE}
    pull_policy: never
    ports: ["${PORT}:8080"]
    stop_grace_period: 0s
    deploy:
      replicas: ${replicas}
`;
}

async function bringBack(victim: FleetHost, fault: Fault): Promise<void> {
  if (fault === "cut link") return victim.mendLink();
  await victim.boot();
  victim.spawnAgent();
}

function both(
  what: string,
  all: readonly Times[],
  which: keyof Times,
  limit: number,
  swarmMs: number,
): Figure[] {
  const samples = all.map((times) => times[which]);
  const figure = (how: string, value: number): Figure => ({
    what: `${what}, ${how}`,
    value,
    unit: "ms",
    limit,
    samples,
    reference: `${(value / swarmMs).toFixed(2)} x Swarm's ${swarmMs} ms`,
  });
  return [figure("median", median(samples)), figure("worst", Math.max(...samples))];
}
