import type { Command } from "commander";
import { loadProject, withProjectOptions, type ProjectOptions } from "../compose/load-project.ts";
import { printProblems } from "../compose/print-problems.ts";
import { newCommand, printJson, printLines, type Context } from "../context.ts";
import { paintFor } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

interface CheckOptions extends ProjectOptions {
  json?: boolean;
}

/** What a status means to the person who wrote the file. */
const MEANINGS = { honoured: "honoured", warned: "changed", refused: "refused" } as const;
const COLORS = { honoured: "green", warned: "yellow", refused: "red" } as const;

export function checkCommand(context: Context): Command {
  const command = newCommand({
    name: "check",
    description:
      "Tells what each property of a Compose file means here: honoured, changed or refused.\n" +
      "Changes nothing, and needs no server. Fails when something is refused.",
    examples: ["orchd check compose.yaml", "orchd check compose.yaml compose.prod.yaml"],
  })
    .argument("[file...]", "Compose files that are merged (default: those that `up` would read)")
    .option("--json", "print JSON");
  return withProjectOptions(command).action(async (file: string[], options: CheckOptions) => {
    context.exitCode = await check(context, { ...options, file });
  });
}

async function check(context: Context, options: CheckOptions): Promise<number> {
  const { io } = context;
  const { name, problems, report } = await loadProject(context, options);
  const { formatProblem } = await import("../../core/compose/load.ts");
  const isRefused =
    problems.some(({ severity }) => severity === "error") ||
    report.some(({ status }) => status === "refused");
  if (options.json === true) {
    await printJson(io, { name, problems, report });
    return isRefused ? 1 : 0;
  }
  const table = formatTable(
    [
      { title: "LINE", cell: (row) => `${row.file}:${row.line}` },
      { title: "PROPERTY", cell: (row) => row.path },
      {
        title: "HERE",
        cell: (row) => MEANINGS[row.status],
        color: (row) => COLORS[row.status],
      },
      { title: "MEANING", cell: (row) => row.message },
    ],
    report,
    paintFor(io),
  );
  if (report.length > 0) await printLines(io, table);
  await printProblems(io, problems, formatProblem);
  return isRefused ? 1 : 0;
}
