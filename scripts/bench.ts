import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { formatFigures, reaches, type Figure } from "./bench/figure.ts";
import { benchAgents } from "./bench/agents.ts";
import { benchCommands } from "./bench/commands.ts";
import { benchContainerd } from "./bench/containerd.ts";
import { benchCrash } from "./bench/crash.ts";
import { benchDns } from "./bench/dns.ts";
import { benchFailover } from "./bench/failover.ts";
import { benchGossip } from "./bench/gossip.ts";
import { benchIdle } from "./bench/idle.ts";
import { benchImages } from "./bench/images.ts";
import { benchIngress } from "./bench/ingress.ts";
import { benchMillion } from "./bench/million.ts";
import { benchNetwork } from "./bench/network.ts";
import { benchScheduler } from "./bench/scheduler.ts";
import { benchLoneAgent } from "./bench/lone-agent.ts";
import { benchProbes } from "./bench/probes.ts";
import { benchReady } from "./bench/ready.ts";
import { benchProcess } from "./bench/process.ts";
import { benchRuntimes } from "./bench/runtimes.ts";
import { benchTables } from "./bench/tables.ts";
import { benchUp } from "./bench/up.ts";
import { benchVolumeBackup } from "./bench/volume-backup.ts";
import { benchWrites } from "./bench/writes.ts";
import { buildForThisMachine } from "./build.ts";
import { prepareMachine } from "./machine.ts";
import { dist, sayStep } from "./project.ts";

/*
 * `npm run bench` measures what orchd promises, as ratios within one run where there is something
 * to compare with. `npm run bench -- up crash` runs those parts; `--full` watches an idle server
 * and idle agents for ten minutes instead of one, and takes many more slow members; `--pairs=N`
 * compares so often; `--agents=N` takes so many agents, and
 * `--hosts=N` so many hosts for tables; `--faults=N` ends a node so
 * often in each way. `million`, which needs 16 GiB, is run only when it is named; `--nodes=N`
 * and `--tasks=N` make it smaller.
 */
const options = process.argv.slice(2);
const pairs = numberGiven("pairs") ?? 3;
const agents = numberGiven("agents") ?? 500;
const faults = numberGiven("faults") ?? 4;
const hosts = numberGiven("hosts") ?? 20;
const nodes = numberGiven("nodes") ?? 5000;
const tasks = numberGiven("tasks") ?? 1_000_000;
const isFull = options.includes("--full");
const idleMs = isFull ? 600_000 : 60_000;

const PARTS: Record<string, () => Promise<Figure[]>> = {
  commands: benchCommands,
  up: async () => benchUp(pairs),
  crash: benchCrash,
  writes: benchWrites,
  idle: async () => benchIdle(idleMs),
  agents: async () => benchAgents(agents, idleMs),
  agent: async () => benchLoneAgent(idleMs),
  probes: async () => benchProbes(idleMs),
  ready: benchReady,
  runtimes: async () => benchRuntimes(idleMs),
  containerd: async () => benchContainerd(pairs),
  process: async () => benchProcess(pairs),
  gossip: async () => benchGossip(isFull),
  images: benchImages,
  ingress: benchIngress,
  failover: async () => benchFailover(faults),
  network: benchNetwork,
  tables: async () => benchTables(hosts),
  scheduler: benchScheduler,
  dns: benchDns,
  "volume-backup": async () => benchVolumeBackup(pairs),
  million: async () => benchMillion(nodes, tasks),
};
const ONLY_WHEN_NAMED = new Set(["million"]);

process.exitCode = await main();

async function main(): Promise<number> {
  const problem = await prepareMachine();
  if (problem !== undefined) {
    console.error(problem);
    return 1;
  }
  console.log(`dist/orchd: ${await buildForThisMachine()}`);
  const load = loadavg()[0] ?? 0;
  if (load > 1) console.log(`The machine is busy (load ${load.toFixed(1)}): expect noise.`);
  const named = Object.keys(PARTS).filter((name) => options.includes(name));
  const figures: Figure[] = [];
  const usual = Object.keys(PARTS).filter((name) => !ONLY_WHEN_NAMED.has(name));
  for (const name of named.length > 0 ? named : usual) {
    sayStep(name);
    const measured = (await PARTS[name]?.()) ?? [];
    console.log(formatFigures(measured));
    figures.push(...measured);
  }
  sayStep("All figures");
  console.log(formatFigures(figures));
  writeResult(figures, load);
  return figures.some((figure) => reaches(figure) === false) ? 1 : 0;
}

function numberGiven(name: string): number | undefined {
  const text = new RegExp(`^--${name}=(\\d+)$`, "m").exec(options.join("\n"))?.[1];
  return text === undefined ? undefined : Number(text);
}

function writeResult(figures: readonly Figure[], load: number): void {
  const machine = {
    cores: cpus().length,
    model: cpus()[0]?.model,
    memoryBytes: totalmem(),
    kernel: release(),
    load,
  };
  const path = join(dist, "bench.json");
  mkdirSync(dist, { recursive: true });
  writeFileSync(path, `${JSON.stringify({ at: new Date(), machine, figures }, null, 2)}\n`);
  console.log(`\n${path}`);
}
