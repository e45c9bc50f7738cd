import { mix32 } from "../../lib/random.ts";
import type { ServiceId } from "../../model/ids.ts";
import type { Strategy } from "../../model/service.ts";
import type { ClusterLoad } from "./cluster-load.ts";
import type { Before } from "./heap.ts";

/** Nodes that differ by less than a tenth of their room, and by fewer tasks, count as equal… */
const STEPS_OF_ROOM = 10;
/** … for the question whether the image is there, which must not make one node take everything. */
const TASKS_OF_A_STEP = 10;

/** How nodes are weighed for the tasks of one service. */
export interface Weighing {
  load: ClusterLoad;
  serviceId: ServiceId;
  strategy: Strategy;
  /** Decides between equal nodes, without favouring low ids. */
  seed: number;
  /** Whether it is known which nodes have the image. */
  knowsImages: boolean;
}

/**
 * How good each node is for one more task of a service, by its place in the cluster's loads. What
 * is compared stands in columns: of many nodes two are compared very often.
 */
export class Scores {
  /** Whether the first of two nodes is the better one. */
  readonly isBetter: Before;
  /** Tasks of the service. */
  readonly #own: Int32Array;
  /** 1 where the image is missing. */
  readonly #absent: Uint8Array;

  constructor(weighing: Weighing) {
    const { load, serviceId } = weighing;
    this.#own = new Int32Array(load.nodes.length);
    this.#absent = new Uint8Array(load.nodes.length);
    for (const [{ index }, tasks] of load.countsOf(serviceId)) {
      if (index >= 0) this.#own[index] = tasks;
    }
    this.isBetter = comparison(weighing, this.#own, this.#absent);
  }

  /** Whether the first node without one of its tasks of the service has no more than the second. */
  isNoFuller(a: number, b: number): boolean {
    return (this.#own[a] ?? 0) - 1 <= (this.#own[b] ?? 0);
  }

  /** The node got one task more of the service. */
  noteTask(i: number): void {
    this.#own[i] = (this.#own[i] ?? 0) + 1;
  }

  /** The node does not have the image. */
  noteAbsence(i: number): void {
    this.#absent[i] = 1;
  }
}

/** Compares two nodes part by part: what differs first decides. */
function comparison(
  { load, strategy, seed, knowsImages }: Weighing,
  own: Int32Array,
  absent: Uint8Array,
): Before {
  const { used, tasks, hash } = load.columns;
  const spreads = strategy === "spread";
  const step = (i: number) => stepOf(used[i] ?? 0, tasks[i] ?? 0);
  return (a, b) => {
    if (spreads && own[a] !== own[b]) return (own[a] ?? 0) < (own[b] ?? 0);
    if (knowsImages) {
      if (step(a) !== step(b)) return step(a) < step(b) === spreads;
      if (absent[a] !== absent[b]) return (absent[a] ?? 0) < (absent[b] ?? 0);
    }
    if (used[a] !== used[b]) return (used[a] ?? 0) < (used[b] ?? 0) === spreads;
    if (tasks[a] !== tasks[b]) return (tasks[a] ?? 0) < (tasks[b] ?? 0) === spreads;
    const drawA = mix32(hash[a] ?? 0, seed);
    const drawB = mix32(hash[b] ?? 0, seed);
    if (drawA !== drawB) return drawA < drawB;
    return (load.nodes[a]?.id ?? "") < (load.nodes[b]?.id ?? "");
  };
}

/** Ordered by room first, as the exact score is. */
function stepOf(used: number, tasks: number): number {
  return Math.floor(used * STEPS_OF_ROOM) * 1_000_000 + Math.floor(tasks / TASKS_OF_A_STEP);
}
