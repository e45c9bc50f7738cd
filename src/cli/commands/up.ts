import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import type { StackSpec } from "../../model/stack.ts";
import type { ApplyResult } from "../../model/summary.ts";
import { loadProject, withProjectOptions, type ProjectOptions } from "../compose/load-project.ts";
import { formatRefusal, printProblems } from "../compose/print-problems.ts";
import { sendContents } from "../compose/send-contents.ts";
import { collect, connect, newRemoteCommand, timeoutOption, printJson } from "../context.ts";
import { printLines, type Context, type RemoteOptions } from "../context.ts";
import { conclude } from "../follow/conclude.ts";
import { follow } from "../follow/follow.ts";
import { replacedIn } from "../follow/held-up.ts";
import { stuckReasonOf } from "../follow/stuck.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

interface UpOptions extends RemoteOptions, ProjectOptions {
  detach?: boolean;
  dryRun?: boolean;
  prune?: boolean;
  timeout: number;
}

export function upCommand(context: Context): Command {
  const command = newRemoteCommand({
    name: "up",
    description:
      "Makes a stack be what its Compose file says, and returns when it has converged.\n" +
      "Ctrl-C stops the watching, not the work.",
    examples: ["orchd up", "orchd up -f compose.yaml -f compose.prod.yaml", "orchd up --dry-run"],
  }).option("-f, --file <file>", "Compose file, or - for standard input; several merge", collect);
  return withProjectOptions(command)
    .option("-d, --detach", "do not wait")
    .option("--dry-run", "print what would change, and change nothing")
    .option("--prune", "remove services that are no longer in the file")
    .addOption(timeoutOption())
    .action(async (options: UpOptions) => {
      context.exitCode = await up(context, options);
    });
}

async function up(context: Context, options: UpOptions): Promise<number> {
  const { io } = context;
  const { name, spec, contents, problems } = await loadProject(context, options);
  const { formatProblem } = await import("../../core/compose/load.ts");
  const errors = await printProblems(io, problems, formatProblem);
  if (spec === undefined || errors > 0) {
    await io.stderr.write(`${formatRefusal(errors)}\n`);
    return 1;
  }
  const client = await connect(context, options);
  const dryRun = options.dryRun === true;
  const sent = await sendContents(client, spec, contents);
  const result = await client.apply(name, sent, { dryRun, prune: options.prune === true });
  await tellOrphans(context, result);
  if (dryRun) {
    await printPlan(context, result, options.json === true);
    return 0;
  }
  if (options.detach === true) {
    const told = `stack ${name} was changed: see \`orchd ps ${name}\``;
    if (options.json === true) await printJson(io, { ...result, outcome: "detached" });
    else await printLines(io, [cleanText(told)]);
    return 0;
  }
  return waitForStack(context, client, { result, spec }, options);
}

async function waitForStack(
  context: Context,
  client: ApiClient,
  { result, spec }: { result: ApplyResult; spec: StackSpec },
  options: UpOptions,
): Promise<number> {
  const { io } = context;
  const json = options.json === true;
  const { stack } = result;
  const title = `stack ${stack}`;
  const outcome = await follow(io, {
    title,
    goal: "converged",
    timeoutMs: options.timeout,
    json,
    open: (signal) => client.progress(stack, signal),
    fresh: replacedIn(result),
    stuckReason: (service) => stuckReasonOf(client, service, spec.services[service.name]?.restart),
  });
  if (json) await printJson(io, { ...result, outcome: outcome.type });
  const timeoutMs = options.timeout;
  const look = `orchd ps ${stack} --all`;
  return conclude(context, outcome, { title, done: "has converged", timeoutMs, look, json });
}

async function tellOrphans({ io }: Context, { stack, orphans }: ApplyResult): Promise<void> {
  if (orphans.length === 0) return;
  const verb = orphans.length === 1 ? "is" : "are";
  const text =
    `${orphans.join(", ")} ${verb} no longer in the file of ${stack} and kept running: ` +
    "--prune removes what the file does not have";
  await io.stderr.write(`${paintFor(io, io.stderr)("yellow", cleanText(text))}\n`);
}

const ACTION_COLORS = {
  create: "green",
  update: "yellow",
  replace: "yellow",
  scale: "yellow",
  remove: "red",
  keep: "dim",
} as const;

async function printPlan({ io }: Context, result: ApplyResult, json: boolean): Promise<void> {
  if (json) return printJson(io, result);
  const table = formatTable(
    [
      {
        title: "ACTION",
        cell: (line) => line.action,
        color: (line) => ACTION_COLORS[line.action],
      },
      { title: "SERVICE", cell: (line) => line.service },
      { title: "CHANGE", cell: (line) => line.detail },
    ],
    result.plan,
    paintFor(io),
  );
  await printLines(io, table);
}
