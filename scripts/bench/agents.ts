import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import type { NodeSummary, ServiceSummary } from "../../src/model/summary.ts";
import { Host } from "../lab/host.ts";
import { signalInside, waitUntil } from "../lab/lab.ts";
import { bun, root } from "../project.ts";
import { callSocket } from "./bench-host.ts";
import { one, type Figure } from "./figure.ts";
import { CostMeter, memoryMib } from "./process-cost.ts";
import { timed } from "./work.ts";

const TASKS_EACH = 20;
const SERVER = "127.0.0.1:6770";
const SERVER_WORDS = ["--runtime", "fake", "--no-agent", "--advertise", "127.0.0.1"];
const PROCESSES = 4;
/**
 * Members in each process that gossip. The rest have their sessions alone: what hundreds of members
 * say to each other would fill a small machine, and is not the server's cost, which is the same for
 * any number of them.
 */
const GOSSIPING_EACH = 15;
const JOIN_TIMEOUT_MS = 300_000;
const CONVERGE_TIMEOUT_MS = 600_000;
const BACK_TIMEOUT_MS = 60_000;
const SETTLE_MS = 45_000;
const SAMPLE_MS = 100;

/** Many agents on one server: what they cost it, and whether they come back after its restart. */
export async function benchAgents(count: number, windowMs: number): Promise<Figure[]> {
  const host = await Host.bare();
  const fleet = new AgentFleet(host, count);
  try {
    host.spawnServer(SERVER_WORDS);
    await answers(host);
    const joinMs = await timed(async () => fleet.join(await host.token()));
    const upMs = await timed(async () => deploy(host, count));
    await pause(SETTLE_MS);
    const idle = await measureIdle(host, count, windowMs);
    const back = await measureRestart(host, fleet, count);
    const all = `${count} agents`;
    return [
      one(`${all} join, until all have a session`, joinMs / 1000, "s"),
      one(`${all}, ${TASKS_EACH} tasks each: deploy until all run`, upMs / 1000, "s"),
      ...idle,
      ...back,
    ];
  } finally {
    await fleet.stop();
    await host.stop();
  }
}

/** The processes that hold the agents. */
class AgentFleet {
  readonly #host: Host;
  readonly #count: number;
  readonly #processes: ChildProcess[] = [];
  /** By agent: when its latest session began. */
  readonly #connectedAt = new Map<string, number>();

  constructor(host: Host, count: number) {
    this.#host = host;
    this.#count = count;
  }

  /** Resolves when each has its session. Their disks are memory: the server's is measured. */
  async join(token: string): Promise<void> {
    const each = Math.ceil(this.#count / PROCESSES);
    const script = join(root, "scripts", "bench", "agents-process.ts");
    for (let first = 0; first < this.#count; first += each) {
      const count = Math.min(each, this.#count - first);
      const numbers = [first, count, GOSSIPING_EACH].map(String);
      const words = [token, SERVER, "/run/agents", ...numbers];
      this.#listen(this.#host.lab.spawn([bun, script, ...words]));
    }
    await waitUntil("all agents are connected", JOIN_TIMEOUT_MS, () => this.sinceConnected(0));
  }

  /** Whether every agent began a session after `at`, in ms since 1970. */
  sinceConnected(at: number): boolean {
    return this.connectedSince(at).length === this.#count;
  }

  connectedSince(at: number): number[] {
    return [...this.#connectedAt.values()].filter((time) => time > at).sort((a, b) => a - b);
  }

  async stop(): Promise<void> {
    for (const child of this.#processes) signalInside(child, "SIGKILL");
  }

  #listen(child: ChildProcess): void {
    this.#processes.push(child);
    if (child.stdout === null || child.stderr === null) return;
    createInterface(child.stdout).on("line", (line) => {
      const [word, number = "", at] = line.split(" ");
      if (word === "connected") this.#connectedAt.set(number, Number(at));
    });
    let told = 0;
    createInterface(child.stderr).on("line", (line) => {
      if (told++ < 3) console.log(`  ${line}`);
    });
  }
}

/** When the server answers on its own socket; the time, in ms since 1970. */
async function answers(host: Host): Promise<number> {
  const socket = join(host.lab.root, "run/orchd/orchd.sock");
  await waitUntil("the server answers", BACK_TIMEOUT_MS, async () => {
    const answer = await callSocket(socket, "GET", "/v1/version").catch(() => undefined);
    return answer?.status === 200;
  });
  return Date.now();
}

/** Services of one task for each agent. */
async function deploy(host: Host, count: number): Promise<void> {
  const service = `image: bench:1\n    deploy: {replicas: ${count}}`;
  const names = Array.from({ length: TASKS_EACH }, (_, i) => `s${i}`);
  const services = names.map((name) => `  ${name}:\n    ${service}\n`);
  const file = host.write("agents.yaml", `name: fleet\nservices:\n${services.join("")}`);
  const words = ["up", "-f", file, "--detach"];
  await host.must(...words);
  await waitUntil("the deploy has converged", CONVERGE_TIMEOUT_MS, async () => {
    await pause(500);
    const found = await host.json<ServiceSummary[]>("services");
    return found.length === TASKS_EACH && found.every((one) => one.converged);
  });
}

async function measureIdle(host: Host, count: number, windowMs: number): Promise<Figure[]> {
  const nodes = await host.json<NodeSummary[]>("nodes");
  const ready = nodes.filter((node) => node.health === "ready").length;
  const tasks = nodes.map((node) => node.tasks);
  const pid = host.serverPid;
  const before = host.dataFiles();
  const cost = new CostMeter(pid);
  await pause(windowMs);
  const { cpuPercent, writtenBytes } = cost;
  const changed = host.dataFiles().filter((line) => !before.includes(line));
  const during = `${windowMs / 1000} s idle, ${count} agents`;
  const even: Figure = { ...one("fewest tasks on a node", Math.min(...tasks), "tasks") };
  return [
    { ...one(`nodes that are ready, ${during}`, ready, "nodes", count), atLeast: true },
    { ...even, limit: TASKS_EACH, atLeast: true },
    one(`server resident memory, ${during}`, memoryMib(pid), "MiB", 250),
    one(`server CPU, ${during}`, cpuPercent, "% of a core", 3),
    one(`files of the data directory that changed, ${during}`, changed.length, "files", 0),
    one(`bytes the server wrote to disks, ${during}`, writtenBytes, "B", 0),
  ];
}

/** A server that is killed and comes back: nobody may stay away, and nobody may hammer it. */
async function measureRestart(host: Host, fleet: AgentFleet, count: number): Promise<Figure[]> {
  const killedAt = Date.now();
  let answersAt: number;
  const connections = [openedConnections(host)];
  const counter = setInterval(() => connections.push(openedConnections(host)), SAMPLE_MS);
  try {
    await host.endServer("SIGKILL");
    host.spawnServer(SERVER_WORDS);
    answersAt = await answers(host);
    const isBack = () => fleet.sinceConnected(killedAt);
    await waitUntil("all agents are back", BACK_TIMEOUT_MS, isBack);
  } finally {
    clearInterval(counter);
  }
  const times = fleet.connectedSince(killedAt).map((at) => (at - answersAt) / 1000);
  const opened = (connections.at(-1) ?? 0) - (connections[0] ?? 0);
  const peaks = connections.map((total, i) => total - (connections[i - 1] ?? total));
  const after = "after a restart of the server";
  return [
    one(`until all ${count} agents are back ${after}`, times.at(-1) ?? Number.NaN, "s", 5),
    one(`until half of them are`, times[Math.floor(times.length / 2)] ?? Number.NaN, "s"),
    one(`connections tried per agent ${after}`, opened / count, "", 5),
    one(`most connections tried in ${SAMPLE_MS} ms ${after}`, Math.max(...peaks), ""),
  ];
}

/** How many TCP connections programs in the lab have tried to open since it began. */
function openedConnections(host: Host): number {
  const text = readFileSync(`/proc/${host.lab.pid}/net/snmp`, "utf8");
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("ActiveOpens")]);
}
