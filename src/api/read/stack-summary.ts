import { sortedBy } from "../../lib/order.ts";
import type { Stack } from "../../model/stack.ts";
import type { Progress, StackSummary } from "../../model/summary.ts";
import type { View } from "../../model/view.ts";
import { serviceSummaries, serviceSummary } from "./service-summary.ts";

/** Every stack, by name. */
export function stackSummaries(view: View): StackSummary[] {
  return sortedBy(view.stacks.values(), (s) => s.name).map((stack) => stackSummary(view, stack));
}

function stackSummary(view: View, stack: Stack): StackSummary {
  const services = serviceSummaries(view, stack.name);
  const converged = services.every((service) => service.converged);
  return {
    name: stack.name,
    services: services.length,
    tasksWanted: services.reduce((sum, service) => sum + service.wanted, 0),
    tasksReady: services.reduce((sum, service) => sum + service.ready, 0),
    state: stack.removing ? "removing" : converged ? "running" : "converging",
    createdAt: stack.createdAt,
    updatedAt: stack.updatedAt,
  };
}

/** How far a stack is; `removed` once it is gone. */
export function stackProgress(view: View, name: string): Progress {
  const stack = view.stacks.get(name);
  const services = serviceSummaries(view, name);
  const removed = stack === undefined;
  const converged = !removed && !stack.removing && services.every((s) => s.converged);
  return { stack: name, services, converged, removed };
}

/** How far one service is; `removed` once it is gone. */
export function serviceProgress(view: View, stack: string, name: string): Progress {
  const service = view.serviceNamed(stack, name);
  if (service === undefined) return { stack, services: [], converged: false, removed: true };
  const summary = serviceSummary(view, service);
  return { stack, services: [summary], converged: summary.converged, removed: false };
}
