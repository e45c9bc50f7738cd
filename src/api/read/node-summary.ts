import { sortedBy } from "../../lib/order.ts";
import type { Resources } from "../../model/container.ts";
import type { Node } from "../../model/node.ts";
import { specAt } from "../../model/service.ts";
import type { NodeInspection, NodeSummary } from "../../model/summary.ts";
import { occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { taskSummaries } from "./task-summary.ts";

/** Every node, by host name. */
export function nodeSummaries(view: View): NodeSummary[] {
  const nodes = sortedBy(view.nodes.values(), (node) => `${node.hostname}\u0000${node.id}`);
  return nodes.map((node) => nodeSummary(view, node));
}

/**
 * All that is shown of one node.
 * @param reason why its health is what it is
 * @param now milliseconds since 1970
 */
export function nodeInspection(
  view: View,
  node: Node,
  reason: string,
  now: number,
): NodeInspection {
  const here = taskSummaries(view, { all: false }, now).filter((task) => task.nodeId === node.id);
  return { ...nodeSummary(view, node), reason, holds: here };
}

export function nodeSummary(view: View, node: Node): NodeSummary {
  const tasks = view.tasksOn(node.id).filter(occupiesNode);
  const reserved = { cpuMillis: 0, memoryBytes: 0 };
  const generic = new Map<string, number>();
  for (const task of tasks) {
    const reservations = reservationsOf(view, task);
    if (reservations === undefined) continue;
    reserved.cpuMillis += reservations.cpuMillis;
    reserved.memoryBytes += reservations.memoryBytes;
    for (const [kind, amount] of Object.entries(reservations.generic ?? {})) {
      generic.set(kind, (generic.get(kind) ?? 0) + amount);
    }
  }
  const named = generic.size === 0 ? {} : { generic: Object.fromEntries(generic) };
  return { ...node, tasks: tasks.length, reserved: { ...reserved, ...named } };
}

function reservationsOf(view: View, task: Task): Resources["reservations"] | undefined {
  const service = view.services.get(task.serviceId);
  return service && specAt(service, task.revision).resources.reservations;
}
