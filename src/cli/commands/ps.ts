import type { Command } from "commander";
import type { ApiClient, Resolved } from "../../api/client.ts";
import { formatDuration } from "../../lib/text.ts";
import { parseServiceName } from "../../model/names.ts";
import type { TaskSummary } from "../../model/summary.ts";
import { newRemoteCommand, type Context } from "../context.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";
import type { Color } from "../output/color.ts";
import { formatPlaces } from "../output/ports.ts";

interface PsOptions extends ListOptions {
  all?: boolean;
}

const columns: Listing<TaskSummary>["columns"] = (now) => [
  { title: "NAME", cell: (task) => task.name },
  { title: "NODE", cell: (task) => task.node ?? "-" },
  { title: "STATE", cell: stateOf, color: colorOf },
  { title: "HEALTH", cell: (task) => (task.health === "none" ? "-" : task.health) },
  { title: "AGE", cell: (task) => formatDuration(now - task.createdAt) },
  { title: "PORTS", cell: (task) => formatPlaces(task) },
  { title: "REASON", cell: (task) => task.message },
];

export function psCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ps",
    description: "Lists tasks: where they are, their state, and why.",
    examples: ["orchd ps", "orchd ps shop --all", "orchd ps shop/web --json"],
  })
    .argument("[stack]", "only tasks of this stack, or of this `stack/service`")
    .option("-a, --all", "also tasks that have ended")
    .option(...WATCH_FLAG)
    .action(async (target: string | undefined, options: PsOptions) => {
      const all = options.all === true;
      const listing = { fetch: (client: ApiClient) => fetchTasks(client, target, all), columns };
      const empty = all
        ? "There is no task."
        : "No task is to run. `orchd ps --all` also shows those that have ended.";
      context.exitCode = await showList(context, { ...listing, empty }, options);
    });
}

async function fetchTasks(client: ApiClient, target: string | undefined, all: boolean) {
  if (target === undefined) return client.tasks({ all });
  const { stack, service } = parseServiceName(target);
  const filter = stack === undefined ? { stack: target } : { stack, service };
  const tasks = await client.tasks({ ...filter, all });
  if (tasks.length > 0) return tasks;
  // A name that nothing has gets an answer that says so; one of a service or task is that one.
  const found = await client.resolve(target);
  const named = await client.tasks({ ...placeOf(found), all: true });
  if (found.kind === "task") return named.filter((task) => task.id === found.id);
  return found.kind === "service" ? client.tasks({ ...placeOf(found), all }) : tasks;
}

function placeOf({ stack, service }: Resolved): { stack?: string; service?: string } {
  return {
    ...(stack === undefined ? {} : { stack }),
    ...(service === undefined ? {} : { service }),
  };
}

function stateOf(task: TaskSummary): string {
  const isEnding = task.desired !== "running" && task.state === "running";
  return isEnding ? "stopping" : task.state;
}

function colorOf(task: TaskSummary): Color | undefined {
  if (task.state === "running") return task.health === "unhealthy" ? "red" : "green";
  if (["failed", "rejected", "lost"].includes(task.state)) return "red";
  return ["complete", "shutdown", "removed"].includes(task.state) ? "dim" : "yellow";
}
