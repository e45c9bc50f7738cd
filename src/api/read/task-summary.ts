import { sortedBy } from "../../lib/order.ts";
import { formatDuration } from "../../lib/text.ts";
import { ingressUrls } from "../../model/ingress-url.ts";
import { specAt, specOf, tieOf } from "../../model/service.ts";
import { downNodeOf, isServing } from "../../model/serving.ts";
import type { TaskSummary } from "../../model/summary.ts";
import { formatTaskName, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { latestAttempts } from "./service-summary.ts";
import { hostnameOf } from "./target.ts";

export interface TaskFilter {
  stack?: string | undefined;
  /** A service's own name, without its stack. */
  service?: string | undefined;
  /** Also attempts that ended and have a successor. */
  all: boolean;
}

/**
 * Tasks by stack, service, slot and age.
 * @param now milliseconds since 1970
 */
export function taskSummaries(view: View, filter: TaskFilter, now: number): TaskSummary[] {
  const matching = [...view.tasks.values()].filter(
    (task) =>
      (filter.stack === undefined || task.stack === filter.stack) &&
      (filter.service === undefined || task.service === filter.service),
  );
  const shown = filter.all ? matching : withoutHistory(matching);
  return sortedBy(shown, sortKey).map((task) => taskSummary(view, task, now));
}

/** Tasks that have not ended, and for a slot in which all have, the latest of them. */
function withoutHistory(tasks: readonly Task[]): Task[] {
  const latest = new Set(latestAttempts(tasks).filter((task) => task.desired !== "removed"));
  return tasks.filter((task) => !isTerminal(task.state) || latest.has(task));
}

/** Numbers of slots and attempts sort as numbers: `web.2` comes before `web.10`. */
function sortKey(task: Task): string {
  const padded = [task.slot, String(task.attempt)].map((part) => part.padStart(20, "0"));
  return [task.stack, task.service, ...padded, task.id].join("\u0000");
}

function taskSummary(view: View, task: Task, now: number): TaskSummary {
  const service = view.services.get(task.serviceId);
  const spec = service === undefined ? undefined : specAt(service, task.revision);
  const node = hostnameOf(view, task);
  // The rules of today count for all tasks.
  const rules = service === undefined ? undefined : specOf(service).ingress;
  const urls = ingressUrls(rules, view.nodes.values());
  const { version: _, serviceId: __, attempt: ___, ...shown } = task;
  return {
    ...shown,
    ready: isServing(view, task),
    message: awayMessage(view, task, now) ?? task.message,
    name: formatTaskName(task, node),
    image: spec?.container.image ?? "",
    ports: spec?.ports ?? [],
    ...(urls.length === 0 ? {} : { urls }),
    ...(node === undefined ? {} : { node }),
  };
}

/** What is said of a task that has not ended while its node is down. */
function awayMessage(view: View, task: Task, now: number): string | undefined {
  const node = isTerminal(task.state) ? undefined : downNodeOf(view, task);
  if (node === undefined) return undefined;
  const down = `node ${node.hostname} is down for ${formatDuration(now - node.since)}`;
  const service = view.services.get(task.serviceId);
  const tie = service === undefined ? undefined : tieOf(specOf(service));
  return tie === undefined ? down : `${down}: its ${tie} is there`;
}
