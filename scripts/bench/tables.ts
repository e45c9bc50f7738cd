import { HELLO_IMAGE } from "../image.ts";
import { Fleet, type FleetHost } from "../lab/fleet.ts";
import { waitUntil } from "../lab/lab.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import type { Figure } from "./figure.ts";
import { TableWatch } from "./table-watch.ts";

const ROUNDS = 5;
const WAIT_MS = 60_000;
/** Machines that start at the same time would fight over this one's cores. */
const JOINS_AT_ONCE = 4;
/** Hosts on which tasks run, so that few have to load the image; the server's is none of them. */
const RUNNERS = 5;

/** Two tasks, so that one is left in every table whatever becomes of the other. */
const APP = `name: bench
services:
  app:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sleep", "1000000"]
    stop_grace_period: 0s
    healthcheck: {disable: true}
    ports: ["8080:8080/udp"]
    x-orchd: {constraints: ["node.hostname in ${runnerNames().join(", ")}"]}
    deploy: {replicas: 2, restart_policy: {delay: 1s}}
`;

function runnerNames(): string[] {
  return Array.from({ length: RUNNERS }, (_, i) => `h${i + 2}`);
}

/** A task, and the container that it is, as its host knows it. */
interface Placed {
  id: string;
  host: FleetHost;
  address: string;
  pid: number;
  startedAt: number;
}

/**
 * How long the tables of all nodes take to follow what happens to one task: real machines' agents
 * with real tables, each on a host of its own.
 */
export async function benchTables(count: number): Promise<Figure[]> {
  const fleet = await Fleet.start(count);
  try {
    const bench = new TableBench(fleet);
    await bench.prepare();
    return await bench.measure();
  } finally {
    await fleet.stop();
  }
}

class TableBench {
  readonly #fleet: Fleet;
  readonly #watches = new Map<FleetHost, TableWatch>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  async prepare(): Promise<void> {
    const [server, ...others] = this.#fleet.hosts;
    if (server === undefined) throw new Error("the lab has no host");
    await server.startServer();
    const token = await server.token();
    for (let i = 0; i < others.length; i += JOINS_AT_ONCE) {
      for (const host of others.slice(i, i + JOINS_AT_ONCE)) {
        host.spawnAgent([`${token}@${server.address}`]);
      }
      const wanted = Math.min(others.length, i + JOINS_AT_ONCE) + 1;
      await waitUntil(`${wanted} nodes are ready`, WAIT_MS, async () => {
        const nodes = await server.json<NodeSummary[]>("nodes");
        return nodes.filter(({ health }) => health === "ready").length === wanted;
      });
    }
    await server.loadImage();
    for (const host of this.#fleet.hosts) this.#watches.set(host, await TableWatch.on(host));
    await server.mustUp(APP);
  }

  async measure(): Promise<Figure[]> {
    const count = this.#fleet.hosts.length;
    const [ready, dead] = [[] as number[], [] as number[]];
    for (let i = 0; i < ROUNDS; i++) {
      const { out, in: comes } = await this.#killOne();
      dead.push(...out);
      ready.push(...comes);
    }
    const withServer = await this.#cutOne(await this.#twoTasks());
    const left = await this.#twoTasks();
    await this.#server.endServer();
    // The agent of the server's own machine has ended with it.
    this.#unwatch(this.#server);
    const alone = await this.#cutOne(left);
    const nodes = `${count} nodes`;
    return [
      figureOf(`a task is ready -> in every node's tables, ${nodes}, p99`, ready, 300),
      figureOf(`a container is killed -> out of every node's tables, ${nodes}, p99`, dead, 500),
      figureOf(`a node's power is cut -> out of all others' tables, ${nodes}`, withServer, 6000),
      figureOf("the same without a server", alone, 6000),
    ];
  }

  get #server(): FleetHost {
    return this.#fleet.host("h1");
  }

  /** Both tasks, once both run. */
  async #twoTasks(): Promise<Placed[]> {
    let placed: Placed[] = [];
    await waitUntil("two tasks run", WAIT_MS, async () => {
      // Those of hosts whose power is cut are none, whatever the server believes.
      const running = (await this.#server.running("bench")).filter(({ node }) =>
        this.#watches.has(this.#fleet.host(node ?? "")),
      );
      if (running.length !== 2) return false;
      placed = await Promise.all(running.map((task) => this.#place(task)));
      return placed.every(({ pid }) => pid > 0);
    });
    return placed;
  }

  async #place({ id, node }: TaskSummary): Promise<Placed> {
    const host = this.#fleet.host(node ?? "");
    const nothing = { id, host, address: "", pid: 0, startedAt: 0 };
    const filter = `label=orchd.task=${id}`;
    const container = await host.podman("ps", "--quiet", "--filter", filter);
    if (container === "") return nothing;
    const format =
      "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} " +
      '{{.State.StartedAt.Format "2006-01-02T15:04:05.000Z07:00"}}';
    const told = await host.podman("inspect", "--format", format, container);
    const [pid = "0", address = "", started = ""] = told.split(" ");
    return { ...nothing, address, pid: Number(pid), startedAt: Date.parse(started) };
  }

  /** Kills one task's container; the task that takes its place comes into the tables again. */
  async #killOne(): Promise<{ out: number[]; in: number[] }> {
    const [victim, other] = await this.#twoTasks();
    if (victim === undefined || other === undefined) throw new Error("there are no two tasks");
    this.#forget();
    const killedAt = Date.now();
    await victim.host.lab.run(["kill", "-9", `${victim.pid}`]);
    const out = await this.#seenBy(this.#fleet.hosts, victim.address, false);
    // Whoever asks what runs takes the machine from those who are measured: first everybody has it.
    const known = [victim.address, other.address];
    const comes = await this.#seeNewcomer(known);
    const tasks = await this.#twoTasks();
    const next = tasks.find(({ id }) => id !== other.id && id !== victim.id);
    if (next === undefined) throw new Error("no task took the killed one's place");
    return {
      out: out.map((at) => at - killedAt),
      in: comes.map((at) => at - next.startedAt),
    };
  }

  /** Cuts the power of a host with a task. */
  async #cutOne([victim]: readonly Placed[]): Promise<number[]> {
    if (victim === undefined) throw new Error("there is no task");
    this.#forget();
    this.#unwatch(victim.host);
    const cutAt = Date.now();
    await victim.host.cutPower();
    const left = this.#fleet.hosts.filter((host) => this.#watches.has(host));
    const out = await this.#seenBy(left, victim.address, false);
    return out.map((at) => at - cutAt);
  }

  #unwatch(host: FleetHost): void {
    this.#watches.get(host)?.end();
    this.#watches.delete(host);
  }

  #forget(): void {
    for (const watch of this.#watches.values()) watch.forget();
  }

  /** When each host's tables came to lead to the address, or not to. */
  async #seenBy(hosts: readonly FleetHost[], address: string, isThere: boolean): Promise<number[]> {
    const seen = () => hosts.map((host) => this.#watches.get(host)?.seen(address, isThere));
    const what = `${address} is ${isThere ? "in" : "out of"} every table`;
    await waitUntil(what, WAIT_MS, () => seen().every((at) => at !== undefined));
    return seen().flatMap((at) => at ?? []);
  }

  /** When each host's tables came to lead to an address that is none of those. */
  async #seeNewcomer(known: readonly string[]): Promise<number[]> {
    const seen = () => [...this.#watches.values()].map((watch) => watch.newcomer(known));
    await waitUntil("another task is in every table", WAIT_MS, () =>
      seen().every((at) => at !== undefined),
    );
    return seen().flatMap((at) => at ?? []);
  }
}

function figureOf(what: string, samples: number[], limit: number): Figure {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
  const middle = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return { what, value, unit: "ms", limit, reference: `median ${middle} ms`, samples };
}
