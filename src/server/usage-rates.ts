import type { TaskRate } from "../core/reconcile/measurements.ts";
import type { NodeId, TaskId } from "../model/ids.ts";
import type { NodeUsage } from "../model/usage.ts";

/** Two looks further apart say little of now; closer ones say nothing. */
const APART_MIN_MS = 1000;
const APART_MAX_MS = 120_000;

/** Turns what nodes counted into what happens in a second. Kept in memory alone. */
export class UsageRates {
  readonly #seen = new Map<NodeId, NodeUsage>();
  readonly #tasks = new Map<NodeId, Map<TaskId, TaskRate>>();
  readonly #connections = new Map<NodeId, Record<string, number>>();

  /** Takes a node's newest counts; undefined where it did not answer. */
  note(nodeId: NodeId, usage: NodeUsage | undefined): void {
    const before = this.#seen.get(nodeId);
    this.#tasks.delete(nodeId);
    this.#connections.delete(nodeId);
    this.#seen.delete(nodeId);
    if (usage === undefined) return;
    this.#seen.set(nodeId, usage);
    if (before === undefined) return;
    const apartMs = usage.at - before.at;
    if (apartMs < APART_MIN_MS || apartMs > APART_MAX_MS) return;
    this.#tasks.set(nodeId, taskRates(before, usage, apartMs));
    this.#connections.set(nodeId, connectionRates(before, usage, apartMs));
  }

  /** Undefined for a task that was not seen twice. */
  of(nodeId: NodeId, taskId: TaskId): TaskRate | undefined {
    return this.#tasks.get(nodeId)?.get(taskId);
  }

  /** New connections in a second to a published port such as `8080/tcp`, by all nodes. */
  connections(port: string): number | undefined {
    let sum: number | undefined;
    for (const rates of this.#connections.values()) {
      const rate = rates[port];
      if (rate !== undefined) sum = (sum ?? 0) + rate;
    }
    return sum;
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

/** A counter that is lower than before began anew when the rules were made again. */
function connectionRates(before: NodeUsage, now: NodeUsage, apartMs: number) {
  const rates = Object.entries(now.connections).map(([port, count]): [string, number] => {
    const earlier = before.connections[port] ?? 0;
    const more = count >= earlier ? count - earlier : count;
    return [port, (more * 1000) / apartMs];
  });
  return Object.fromEntries(rates);
}
