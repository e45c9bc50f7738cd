import type { Command } from "commander";
import { formatDuration } from "../../lib/text.ts";
import type { StackSummary } from "../../model/summary.ts";
import { newRemoteCommand, type Context } from "../context.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";

const STATE_COLORS = { running: "green", converging: "yellow", removing: "yellow" } as const;

const listing: Listing<StackSummary> = {
  fetch: (client) => client.stacks(),
  empty: "There is no stack: start one with `orchd up -f compose.yaml`.",
  columns: (now) => [
    { title: "NAME", cell: (stack) => stack.name },
    { title: "STATE", cell: (stack) => stack.state, color: (stack) => STATE_COLORS[stack.state] },
    { title: "SERVICES", cell: (stack) => String(stack.services) },
    { title: "READY", cell: (stack) => `${stack.tasksReady}/${stack.tasksWanted}` },
    { title: "AGE", cell: (stack) => formatDuration(now - stack.createdAt) },
    { title: "UPDATED", cell: (stack) => `${formatDuration(now - stack.updatedAt)} ago` },
  ],
};

export function lsCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists the stacks.",
    examples: ["orchd ls", "orchd ls --watch"],
  })
    .option(...WATCH_FLAG)
    .action(async (options: ListOptions) => {
      context.exitCode = await showList(context, listing, options);
    });
}
