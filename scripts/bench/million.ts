import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ServiceSummary } from "../../src/model/summary.ts";
import { aContainer, aSpec } from "../../tests/builders.ts";
import { Host } from "../lab/host.ts";
import { signalInside, waitUntil } from "../lab/lab.ts";
import { bun, root } from "../project.ts";
import { callSocket } from "./bench-host.ts";
import { one, round, type Figure } from "./figure.ts";
import { CostMeter, memoryMib } from "./process-cost.ts";
import { timed } from "./work.ts";

const SERVER = "127.0.0.1:6770";
const SERVER_WORDS = ["--runtime", "fake", "--no-agent", "--advertise", "127.0.0.1"];
/** The most that a service can have. */
const TASKS_OF_A_SERVICE = 10_000;
const PROCESSES = 2;
const ANSWER_TIMEOUT_MS = 60_000;
const JOIN_TIMEOUT_MS = 1_800_000;
const RUN_TIMEOUT_MS = 1_800_000;
/** What Nomad's "1 million containers" took, on five servers. */
const LIMIT_S = 266;
const MILLION = 1_000_000;

/**
 * From one request until every task runs, and the server has on its disk that it does: through the
 * API, the store, the scheduler and the dispatcher to agents, each with its session over TLS, and
 * back. The agents do nothing but answer, on the same machine.
 */
export async function benchMillion(nodes: number, tasks: number): Promise<Figure[]> {
  const host = await Host.bare();
  const agents = new LightAgents(host, nodes);
  try {
    host.spawnServer(SERVER_WORDS);
    const socket = join(host.lab.root, "run/orchd/orchd.sock");
    await waitUntil("the server answers", ANSWER_TIMEOUT_MS, async () => {
      const answer = await callSocket(socket, "GET", "/v1/version").catch(() => undefined);
      return answer?.status === 200;
    });
    const joinMs = await timed(async () => agents.join(await host.token()));
    const cost = new CostMeter(host.serverPid);
    const upMs = await timed(async () => {
      const { status, body } = await callSocket(socket, "PUT", "/v1/stacks/million", stack(tasks));
      if (status !== 200) throw new Error(`the stack was refused: ${status} ${body}`);
      await waitUntil("all tasks run", RUN_TIMEOUT_MS, () => agents.running >= tasks);
    });
    const { cpuPercent } = cost;
    const found = await callSocket(socket, "GET", "/v1/services");
    const services = JSON.parse(found.body) as ServiceSummary[];
    const ready = services.reduce((sum, service) => sum + service.ready, 0);
    const what = `${tasks} tasks on ${nodes} nodes`;
    const limit = tasks >= MILLION ? LIMIT_S : undefined;
    return [
      one(`${nodes} nodes join, until all have a session`, joinMs / 1000, "s"),
      {
        ...one(`${what}: from the request until all run`, upMs / 1000, "s", limit),
        reference: `${round((tasks * 1000) / upMs)} tasks/s`,
      },
      { ...one(`${what}: of them ready by the API`, ready, "tasks", tasks), atLeast: true },
      one(`${what}: server CPU meanwhile`, cpuPercent, "% of a core"),
      one(`${what}: server resident memory`, memoryMib(host.serverPid), "MiB"),
    ];
  } finally {
    agents.stop();
    await host.stop();
  }
}

function stack(tasks: number) {
  const count = Math.ceil(tasks / TASKS_OF_A_SERVICE);
  const container = aContainer({ image: "bench:1", networkMode: "none" });
  const names = Array.from({ length: count }, (_, i) => `s${i}`);
  const services = names.map((name, i) => {
    const replicas = Math.min(TASKS_OF_A_SERVICE, tasks - i * TASKS_OF_A_SERVICE);
    return [name, aSpec({ container, replicas })] as const;
  });
  return { services: Object.fromEntries(services), volumes: [] };
}

/** The processes that hold the agents. */
class LightAgents {
  readonly #host: Host;
  readonly #count: number;
  readonly #processes: ChildProcess[] = [];
  /** By process and word: the latest number that it told. */
  readonly #told = new Map<string, number>();

  constructor(host: Host, count: number) {
    this.#host = host;
    this.#count = count;
  }

  /** Tasks that run, as the server has acknowledged. */
  get running(): number {
    return this.#sum("running");
  }

  async join(token: string): Promise<void> {
    const script = join(root, "scripts", "bench", "light-agents-process.ts");
    const each = Math.ceil(this.#count / PROCESSES);
    for (let first = 0; first < this.#count; first += each) {
      const numbers = [first, Math.min(each, this.#count - first)].map(String);
      this.#listen(this.#host.lab.spawn([bun, script, token, SERVER, ...numbers]));
    }
    await waitUntil("all agents are connected", JOIN_TIMEOUT_MS, () => {
      return this.#sum("connected") === this.#count;
    });
  }

  stop(): void {
    for (const child of this.#processes) signalInside(child, "SIGKILL");
  }

  #sum(word: string): number {
    const told = this.#processes.map((_, i) => this.#told.get(`${word} ${i}`) ?? 0);
    return told.reduce((sum, number) => sum + number, 0);
  }

  #listen(child: ChildProcess): void {
    const index = this.#processes.push(child) - 1;
    if (child.stdout === null || child.stderr === null) return;
    createInterface(child.stdout).on("line", (line) => {
      const [word = "", number] = line.split(" ");
      this.#told.set(`${word} ${index}`, Number(number));
    });
    let told = 0;
    createInterface(child.stderr).on("line", (line) => {
      if (told++ < 3) console.log(`  ${line}`);
    });
  }
}
