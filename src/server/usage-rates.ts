import type { TaskRate } from "../core/reconcile/measurements.ts";
import type { NodeId, ServiceId, TaskId } from "../model/ids.ts";
import type { NodeUsage } from "../model/usage.ts";

/** Two looks further apart say little of now; closer ones say nothing. */
const APART_MIN_MS = 1000;
const APART_MAX_MS = 120_000;

/** What was counted, or what of it happens in a second. */
type Counts = Record<string, number>;

/** Turns what nodes counted into what happens in a second. Kept in memory alone. */
export class UsageRates {
  readonly #seen = new Map<NodeId, NodeUsage>();
  readonly #tasks = new Map<NodeId, Map<TaskId, TaskRate>>();
  readonly #connections = new Map<NodeId, Counts>();
  readonly #requests = new Map<NodeId, Counts>();

  /** Takes a node's newest counts; undefined where it did not answer. */
  note(nodeId: NodeId, usage: NodeUsage | undefined): void {
    const before = this.#seen.get(nodeId);
    this.#tasks.delete(nodeId);
    this.#connections.delete(nodeId);
    this.#requests.delete(nodeId);
    this.#seen.delete(nodeId);
    if (usage === undefined) return;
    this.#seen.set(nodeId, usage);
    if (before === undefined) return;
    const apartMs = usage.at - before.at;
    if (apartMs < APART_MIN_MS || apartMs > APART_MAX_MS) return;
    this.#tasks.set(nodeId, taskRates(before, usage, apartMs));
    this.#connections.set(nodeId, ratesOf(before.connections, usage.connections, apartMs));
    this.#requests.set(nodeId, ratesOf(before.requests, usage.requests, apartMs));
  }

  /** Undefined for a task that was not seen twice. */
  of(nodeId: NodeId, taskId: TaskId): TaskRate | undefined {
    return this.#tasks.get(nodeId)?.get(taskId);
  }

  /** New connections in a second to a published port such as `8080/tcp`, by all nodes. */
  connections(port: string): number | undefined {
    return sumOf(this.#connections, port);
  }

  /** HTTP requests for a service in a second, by all nodes. */
  requests(serviceId: ServiceId): number | undefined {
    return sumOf(this.#requests, serviceId);
  }

  /** Forgets the nodes that are not among these. */
  keepOnly(nodeIds: ReadonlySet<NodeId>): void {
    for (const nodeId of this.#seen.keys()) {
      if (!nodeIds.has(nodeId)) this.note(nodeId, undefined);
    }
  }
}

function taskRates(before: NodeUsage, now: NodeUsage, apartMs: number): Map<TaskId, TaskRate> {
  const counted = new Map(before.tasks.map(({ taskId, cpuMs }) => [taskId, cpuMs]));
  const rates = new Map<TaskId, TaskRate>();
  for (const { taskId, cpuMs, memoryBytes } of now.tasks) {
    const earlier = counted.get(taskId);
    if (earlier === undefined) continue;
    const cpuMillis = (Math.max(0, cpuMs - earlier) * 1000) / apartMs;
    rates.set(taskId, { cpuMillis, memoryBytes });
  }
  return rates;
}

/** A counter that is lower than before began anew, as when the rules were made again. */
function ratesOf(before: Counts = {}, now: Counts = {}, apartMs: number): Counts {
  const rates = Object.entries(now).map(([key, count]): [string, number] => {
    const earlier = before[key] ?? 0;
    const more = count >= earlier ? count - earlier : count;
    return [key, (more * 1000) / apartMs];
  });
  return Object.fromEntries(rates);
}

/** Undefined where no node counts it. */
function sumOf(byNode: ReadonlyMap<NodeId, Counts>, key: string): number | undefined {
  const rates = [...byNode.values()].flatMap((counts) => counts[key] ?? []);
  return rates.length === 0 ? undefined : rates.reduce((sum, rate) => sum + rate, 0);
}
