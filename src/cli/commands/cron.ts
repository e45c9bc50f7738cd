import type { Command } from "commander";
import { newCommand, newRemoteCommand, type Context } from "../context.ts";
import { cronColumns, fetchJobs, type JobRow } from "../jobs/listing.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";

export function cronCommand(context: Context): Command {
  return newCommand({
    name: "cron",
    description: "Shows jobs that run by a schedule (`x-orchd: {schedule: …}`).",
    examples: ["orchd cron ls", "orchd cron ls shop --json"],
  })
    .helpCommand(false)
    .addCommand(listCommand(context));
}

function listCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists scheduled jobs: their next and last time, and how the last run ended.",
    examples: ["orchd cron ls", "orchd cron ls shop"],
  })
    .name("ls")
    .argument("[stack]", "only jobs of this stack")
    .option(...WATCH_FLAG)
    .action(async (stack: string | undefined, options: ListOptions) => {
      const listing: Listing<JobRow> = {
        fetch: async (client) => {
          const jobs = await fetchJobs(client, stack);
          return jobs.filter(({ job }) => job.cron !== undefined);
        },
        columns: cronColumns,
        empty: 'No job has a schedule: give one an `x-orchd: {schedule: "*/5 * * * *"}`.',
      };
      context.exitCode = await showList(context, listing, options);
    });
}
