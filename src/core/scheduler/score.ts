import { mix32 } from "../../lib/random.ts";
import type { Placement, ServiceSpec } from "../../model/service.ts";
import type { ClusterLoad, LoadedNode } from "./cluster-load.ts";

/** Nodes that differ by less than a tenth of their room, and by fewer tasks, count as equal… */
const STEPS_OF_ROOM = 10;
/** … for the question whether the image is there, which must not make one node take everything. */
const TASKS_OF_A_STEP = 10;

/** `spread` fills all nodes alike, `binpack` one after the other. */
export type Strategy = "spread" | "binpack";

export function strategyOf(
  placement: Pick<Placement, "spread"> & { strategy?: Strategy | undefined },
): Strategy {
  return placement.strategy ?? "spread";
}

/** How a run weighs nodes for the tasks of one service. */
export interface Weighing {
  service: ServiceSpec;
  /** Decides between equal nodes, without favouring low ids. */
  seed: number;
  /** Whether it is known which nodes have the image. */
  knowsImages: boolean;
}

/**
 * How good each node is for one more task of a service. A column for each part of the score, so
 * that comparing two of many nodes is cheap; lower is better, compared in this order.
 */
export class Scores {
  #nodes: readonly LoadedNode[] = [];
  #weighing: Weighing | undefined;
  /** 1 where much room is good, -1 where little is. */
  #sign: 1 | -1 = 1;
  /** Tasks of the service. */
  #own = new Int32Array(0);
  /** The share used and the tasks, in coarse steps; then 1 where the image is missing. */
  #step = new Int32Array(0);
  #absent = new Uint8Array(0);
  /** The share used, then all tasks. */
  #used = new Float64Array(0);
  #tasks = new Int32Array(0);
  #draw = new Float64Array(0);

  /** Weighs all nodes of the cluster for the tasks of another service. */
  start(load: ClusterLoad, serviceId: Parameters<ClusterLoad["countsOf"]>[0], w: Weighing): void {
    this.#nodes = load.nodes;
    this.#weighing = w;
    this.#sign = strategyOf(w.service.placement) === "binpack" ? -1 : 1;
    this.#makeRoom(load.nodes.length);
    this.#own.fill(0, 0, load.nodes.length);
    for (const [at, tasks] of load.countsOf(serviceId)) {
      if (at.index >= 0) this.#own[at.index] = tasks;
    }
    const { length } = load.nodes;
    for (let i = 0; i < length; i++) this.#weigh(i);
  }

  /** Tasks of the service on the node. */
  ownTasks(i: number): number {
    return this.#own[i] ?? 0;
  }

  /** The node got one task more of the service. */
  noteTask(i: number): void {
    this.#own[i] = (this.#own[i] ?? 0) + 1;
    const absent = this.#absent[i] ?? 0;
    this.#weigh(i);
    this.#absent[i] = absent;
  }

  /** The node does not have the image. */
  noteAbsence(i: number): void {
    this.#absent[i] = 1;
  }

  /** Whether the first of two nodes is the better one. */
  readonly isBetter = (a: number, b: number): boolean => {
    if (this.#sign === 1) {
      const own = (this.#own[a] ?? 0) - (this.#own[b] ?? 0);
      if (own !== 0) return own < 0;
    }
    const step = (this.#step[a] ?? 0) - (this.#step[b] ?? 0);
    if (step !== 0) return step < 0;
    const absent = (this.#absent[a] ?? 0) - (this.#absent[b] ?? 0);
    if (absent !== 0) return absent < 0;
    const used = (this.#used[a] ?? 0) - (this.#used[b] ?? 0);
    if (used !== 0) return used < 0;
    const tasks = (this.#tasks[a] ?? 0) - (this.#tasks[b] ?? 0);
    if (tasks !== 0) return tasks < 0;
    const draw = (this.#draw[a] ?? 0) - (this.#draw[b] ?? 0);
    if (draw !== 0) return draw < 0;
    return (this.#nodes[a]?.id ?? "") < (this.#nodes[b]?.id ?? "");
  };

  #weigh(i: number): void {
    const node = this.#nodes[i];
    if (node === undefined) return;
    const { used, hash } = node;
    const { tasks } = node.load;
    const { seed = 0, knowsImages = false } = this.#weighing ?? {};
    this.#used[i] = this.#sign * used;
    this.#tasks[i] = this.#sign * tasks;
    this.#draw[i] = mix32(hash, seed);
    this.#absent[i] = 0;
    this.#step[i] = knowsImages ? this.#sign * stepOf(used, tasks) : 0;
  }

  #makeRoom(nodes: number): void {
    if (this.#own.length >= nodes) return;
    const room = nodes + (nodes >> 1) + 16;
    this.#own = new Int32Array(room);
    this.#step = new Int32Array(room);
    this.#absent = new Uint8Array(room);
    this.#used = new Float64Array(room);
    this.#tasks = new Int32Array(room);
    this.#draw = new Float64Array(room);
  }
}

/** Ordered by room first, as the exact score is. */
function stepOf(used: number, tasks: number): number {
  const room = Math.min(Math.floor(used * STEPS_OF_ROOM), 2000);
  return room * 1_000_000 + Math.min(Math.floor(tasks / TASKS_OF_A_STEP), 999_999);
}
