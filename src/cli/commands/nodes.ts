import type { Command } from "commander";
import { formatBytes, formatDuration } from "../../lib/text.ts";
import type { NodeSummary } from "../../model/summary.ts";
import { newRemoteCommand, type Context } from "../context.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";

const HEALTH_COLORS = { ready: "green", suspect: "yellow", down: "red" } as const;

const listing: Listing<NodeSummary> = {
  fetch: (client) => client.nodes(),
  empty: "There is no node: `orchd server` without --no-agent makes this machine one.",
  columns: (now) => [
    { title: "NAME", cell: (node) => node.hostname },
    { title: "HEALTH", cell: (node) => node.health, color: (node) => HEALTH_COLORS[node.health] },
    { title: "AVAILABILITY", cell: (node) => node.availability },
    { title: "ROLES", cell: rolesOf },
    { title: "LABELS", cell: labelsOf },
    { title: "TASKS", cell: (node) => String(node.tasks) },
    { title: "CPU", cell: cpuOf },
    { title: "MEMORY", cell: memoryOf },
    { title: "ADDRESS", cell: (node) => node.address },
    { title: "PLATFORM", cell: (node) => `${node.platform.os}/${node.platform.arch}` },
    { title: "RUNTIME", cell: (node) => `${node.runtime.name} ${node.runtime.version}` },
    { title: "ORCHD", cell: (node) => node.orchdVersion },
    { title: "AGE", cell: (node) => formatDuration(now - node.createdAt) },
  ],
};

export function nodesCommand(context: Context): Command {
  return newRemoteCommand({
    name: "nodes",
    description: "Lists nodes: their health, and what is reserved of what they have.",
    examples: ["orchd nodes", "orchd nodes --watch"],
  })
    .option(...WATCH_FLAG)
    .action(async (options: ListOptions) => {
      context.exitCode = await showList(context, listing, options);
    });
}

function rolesOf({ roles }: NodeSummary): string {
  return [roles.server ? "server" : "", roles.agent ? "agent" : ""].filter(Boolean).join(",");
}

/** Reserved of what is there: `0.5/4`. */
function cpuOf({ reserved, resources }: NodeSummary): string {
  return `${reserved.cpuMillis / 1000}/${resources.cpuMillis / 1000}`;
}

function memoryOf({ reserved, resources }: NodeSummary): string {
  return `${formatBytes(reserved.memoryBytes)}/${formatBytes(resources.memoryBytes)}`;
}

function labelsOf({ labels }: NodeSummary): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "-" : pairs.sort().join(",");
}
