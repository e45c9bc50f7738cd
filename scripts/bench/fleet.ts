import { join } from "node:path";
import { Fleet, type FleetHost } from "../lab/fleet.ts";
import { waitUntil } from "../lab/lab.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { callSocket } from "./bench-host.ts";

const WAIT_MS = 60_000;

/** Hosts of which the first is the server and the others have joined it; all have the image. */
export class BenchFleet {
  readonly fleet: Fleet;

  private constructor(fleet: Fleet) {
    this.fleet = fleet;
  }

  static async start(count: number, serverWords: string[] = []): Promise<BenchFleet> {
    const bench = new BenchFleet(await Fleet.start(count));
    try {
      await bench.server.startServer(serverWords);
      const token = await bench.server.token();
      for (const host of bench.fleet.hosts.slice(1)) {
        host.spawnAgent([`${token}@${bench.server.address}`]);
      }
      await bench.waitReady(count);
      await bench.server.loadImage();
      return bench;
    } catch (error) {
      await bench.stop();
      throw error;
    }
  }

  get server(): FleetHost {
    return this.fleet.host("h1");
  }

  /** Straight from the server's socket: a command for each look would take its share of the CPU. */
  async nodes(): Promise<NodeSummary[]> {
    return this.#list<NodeSummary>("/v1/nodes");
  }

  async tasks(): Promise<TaskSummary[]> {
    return this.#list<TaskSummary>("/v1/tasks");
  }

  async waitReady(count: number): Promise<void> {
    await waitUntil(`${count} nodes are ready`, WAIT_MS, async () => {
      return (await this.nodes()).filter((node) => node.health === "ready").length === count;
    });
  }

  /** Waits until so many tasks are ready, each on another node than `except`. */
  async waitRunning(count: number, except?: string): Promise<void> {
    await waitUntil(`${count} tasks run`, WAIT_MS, async () => {
      const tasks = await this.tasks();
      return tasks.filter((task) => task.ready && task.node !== except).length === count;
    });
  }

  async stop(): Promise<void> {
    await this.fleet.stop();
  }

  async #list<Item>(path: string): Promise<Item[]> {
    const socket = join(this.server.lab.root, "run/orchd/orchd.sock");
    const { status, body } = await callSocket(socket, "GET", path);
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
    return JSON.parse(body) as Item[];
  }
}
