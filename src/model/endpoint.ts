import { attachmentsOf } from "./service-network.ts";
import { isOfTemplate, specAt, specOf, type Service } from "./service.ts";
import { downNodeOf, isServing } from "./serving.ts";
import { isStaged, isTerminal, type Task } from "./task.ts";
import type { View } from "./view.ts";

/** Where a service is reached: one of its tasks, and whether traffic goes there. */
export interface Endpoint {
  task: Task;
  /** Why it gets no traffic, in words that follow "it"; undefined while it does. */
  out: string | undefined;
}

/** The endpoints of a service in one of its networks, or in all of them. */
export function endpointsOf(view: View, service: Service, network?: string): Endpoint[] {
  return view.tasksOf(service.id).flatMap((task) => {
    if (isTerminal(task.state)) return [];
    const spec = isOfTemplate(service, task.revision) ? specOf(service) : undefined;
    const networks = attachmentsOf(service.stack, spec ?? specAt(service, task.revision));
    const isIn = networks.some((one) => network === undefined || one.network === network);
    return isIn ? [{ task, out: reasonOut(view, task) }] : [];
  });
}

function reasonOut(view: View, task: Task): string | undefined {
  if (isServing(view, task)) return undefined;
  const node = downNodeOf(view, task);
  if (node !== undefined) return `is on node ${node.hostname}, which is down`;
  if (isStaged(task)) return "waits until its slot is free";
  if (task.desired !== "running") return "is on its way out";
  if (task.nodeId === undefined) return "has no node yet";
  if (task.state !== "running") return `is ${task.state}`;
  return task.health === "starting" ? "has not answered yet" : `is ${task.health}`;
}
