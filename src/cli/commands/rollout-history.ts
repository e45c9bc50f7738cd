import type { Command } from "commander";
import type { AppliedSetSummary, RevisionSummary } from "../../model/summary.ts";
import { connect, newRemoteCommand, printJson, printLines, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { paintFor } from "../output/color.ts";
import { formatTable, type Column } from "../output/table.ts";
import { serviceNamed } from "../name-service.ts";

type HistoryOptions = RemoteOptions & { stack?: string };

export function historyCommand(context: Context): Command {
  return newRemoteCommand({
    name: "history",
    description: "Lists the revisions of a service that are kept, or what a stack was made to be.",
    examples: ["orchd rollout history web", "orchd rollout history --stack shop"],
  })
    .name("history")
    .argument("[service]", "`stack/service`, or `service` where only one stack has it")
    .option("--stack <stack>", "the whole stack in place of one service")
    .action(async (target: string | undefined, options: HistoryOptions) => {
      if ((target === undefined) === (options.stack === undefined)) {
        throw usageError("name a service, or a stack with --stack");
      }
      const client = await connect(context, options);
      if (options.stack !== undefined) {
        return show(context, await client.sets(options.stack), SETS, options);
      }
      const { stack, service } = await serviceNamed(client, target ?? "");
      return show(context, await client.revisions(stack, service), REVISIONS, options);
    });
}

const REVISIONS: Column<RevisionSummary>[] = [
  { title: "REVISION", cell: ({ revision, current }) => `${revision}${current ? " *" : ""}` },
  { title: "AT", cell: ({ at }) => new Date(at).toISOString() },
  { title: "TASKS", cell: ({ tasks }) => String(tasks) },
  { title: "IMAGE", cell: ({ image }) => image },
  { title: "CHANGE", cell: ({ change }) => change || "-" },
];

const SETS: Column<AppliedSetSummary>[] = [
  { title: "SET", cell: ({ id, current }) => `${id}${current ? " *" : ""}` },
  { title: "AT", cell: ({ at }) => new Date(at).toISOString() },
  {
    title: "SERVICES",
    cell: ({ revisions }) =>
      Object.entries(revisions)
        .map(([name, revision]) => `${name} ${revision}`)
        .join(", "),
  },
];

async function show<Row>(
  { io }: Context,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { json }: RemoteOptions,
): Promise<void> {
  if (json === true) return printJson(io, rows);
  await printLines(io, formatTable(columns, rows, paintFor(io)));
}
