import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import type { LogOptions } from "../../model/session.ts";
import type { TaskLogLine } from "../../model/summary.ts";
import { connect, newRemoteCommand, parseCount, printJson } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { mergeArrivals, mergeOrdered } from "../follow/merge.ts";
import type { Io } from "../io.ts";
import { LogPrinter } from "../output/log-printer.ts";
import { sinceOf } from "./events.ts";

export interface LogsOptions extends RemoteOptions {
  follow?: boolean;
  since?: string;
  tail?: number;
  timestamps?: boolean;
}

export function logsCommand(context: Context): Command {
  return newRemoteCommand({
    name: "logs",
    description: "Shows what services and tasks print; what they print on stderr comes on stderr.",
    examples: ["orchd logs -f web-app", "orchd logs --since 10m --tail 100 shop/web shop/db.1"],
  })
    .argument("<target...>", "services or tasks")
    .option("-f, --follow", "go on with what they print, until Ctrl-C")
    .option("--since <time>", "only from then on: 10m, 2026-11-24T10:00, Unix seconds")
    .option("-n, --tail <lines>", "only so many of the last lines of each task", parseCount)
    .option("-t, --timestamps", "with the time of each line")
    .action(async (targets: string[], options: LogsOptions) => {
      context.exitCode = await logs(context, targets, options);
    });
}

async function logs(context: Context, targets: string[], options: LogsOptions): Promise<number> {
  const request = requestOf(options, context.io.clock.now());
  const client = await connect(context, options);
  // Each name is looked up first, so that a wrong one is told before anything is printed.
  const resolved = await Promise.all(targets.map((target) => client.resolve(target)));
  const names = !(resolved.length === 1 && resolved[0]?.kind === "task");
  const ids = resolved.map(({ id }) => id);
  return printLogsOf(context, client, { ids, names, request }, options);
}

/** Prints the logs of services and tasks as one; answers the exit code. */
export async function printLogsOf(
  { io }: Context,
  client: ApiClient,
  { ids, names, request }: { ids: readonly string[]; names: boolean; request: LogOptions },
  options: LogsOptions,
): Promise<number> {
  const abort = new AbortController();
  let interrupted = false;
  const stop = io.onInterrupt(() => {
    interrupted = true;
    abort.abort();
  });
  try {
    const streams = ids.map((id) => client.logs(id, request, abort.signal));
    const lines = request.follow
      ? mergeArrivals(streams)
      : mergeOrdered(streams, (line: TaskLogLine) => line.at);
    await printLogs(io, lines, { ...options, names });
  } finally {
    stop();
    abort.abort();
  }
  return interrupted ? 130 : 0;
}

export function requestOf(options: LogsOptions, now: number): LogOptions {
  const since = sinceOf(options.since, now);
  return {
    follow: options.follow === true,
    ...(since === undefined ? {} : { since }),
    ...(options.tail === undefined ? {} : { tail: options.tail }),
  };
}

async function printLogs(
  io: Io,
  lines: AsyncIterable<TaskLogLine>,
  options: LogsOptions & { names: boolean },
): Promise<void> {
  const printer = new LogPrinter(io, options);
  for await (const line of lines) {
    if (options.json === true) await printJson(io, line);
    else await printer.print(line);
  }
}
