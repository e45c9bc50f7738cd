import type { ApiClient } from "../../api/client.ts";
import { formatDuration, plural } from "../../lib/text.ts";
import { baseOfSlot, runOfSlot } from "../../model/slot-name.ts";
import type {
  JobRunSummary,
  ServiceSummary,
  StartedRun,
  TaskSummary,
} from "../../model/summary.ts";
import { printJson, type Context } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { LogPrinter } from "../output/log-printer.ts";

export interface RunOptions {
  timeout: number;
  json?: boolean;
}

type End =
  | { type: "over"; run: JobRunSummary }
  | { type: "gone" }
  | { type: "timedOut" }
  | { type: "detached" };

const EXIT_CODES = { gone: 1, timedOut: 4, detached: 130 } as const;

/**
 * Waits until a run is over, tells how far it is, and at its end what its task printed if it has
 * one alone; answers the exit code, which is the program's own then.
 */
export async function followRun(
  context: Context,
  client: ApiClient,
  started: StartedRun,
  options: RunOptions,
): Promise<number> {
  const { io } = context;
  const name = `${started.stack}/${started.service}`;
  const end = await waitForEnd(context, client, started, options);
  if (end.type !== "over") {
    if (options.json === true) await printJson(io, { ...started, outcome: end.type });
    await io.stderr.write(`${cleanText(tellEnd(name, started.run, end.type, options))}\n`);
    return EXIT_CODES[end.type];
  }
  const { run } = end;
  const tasks = await tasksOfRun(client, started, run);
  const exitCode = exitCodeOf(run, tasks);
  if (options.json === true) {
    await printJson(io, { ...started, outcome: run.result, exitCode, details: run });
    return exitCode;
  }
  const [only] = tasks;
  if (run.wanted === 1 && only !== undefined) await printOutput(context, client, only.id);
  const tookMs = (run.finishedAt ?? run.startedAt) - run.startedAt;
  const why = run.message === "" ? "" : `: ${run.message}`;
  const told = `${name} run ${run.run} ${tellResult(run)} after ${formatDuration(tookMs)}${why}`;
  await io.stderr.write(`${cleanText(told)}\n`);
  return exitCode;
}

/** The last attempts of a run's tasks, by slot. */
export async function tasksOfRun(
  client: ApiClient,
  { stack, service }: { stack: string; service: string },
  run: Pick<JobRunSummary, "run" | "revision">,
): Promise<TaskSummary[]> {
  const tasks = await client.tasks({ stack, service, all: true });
  const own = tasks.filter((task) => {
    const number = runOfSlot(task.slot);
    return number === undefined ? task.revision >= run.revision : number === run.run;
  });
  const bySlot = Map.groupBy(own, (task) => baseOfSlot(task.slot));
  return [...bySlot.values()].flatMap((attempts) => {
    const done = attempts.find((task) => task.state === "complete");
    return done ?? attempts.toSorted((a, b) => b.createdAt - a.createdAt)[0] ?? [];
  });
}

async function waitForEnd(
  context: Context,
  client: ApiClient,
  { stack, service, run: number }: StartedRun,
  options: RunOptions,
): Promise<End> {
  const { io } = context;
  const abort = new AbortController();
  let end: End | undefined;
  const finish = (next: End) => {
    end ??= next;
    abort.abort();
  };
  const stopListening = io.onInterrupt(() => finish({ type: "detached" }));
  const deadline = io.clock.after(options.timeout, () => finish({ type: "timedOut" }));
  let told = "";
  try {
    for await (const progress of client.serviceProgress(stack, service, abort.signal)) {
      const [summary] = progress.services;
      const run = summary?.job?.runs.find((one) => one.run === number);
      if (progress.removed || summary === undefined) finish({ type: "gone" });
      else if (run?.result !== undefined) finish({ type: "over", run });
      if (end !== undefined) break;
      const line = run === undefined || summary === undefined ? "" : tellProgress(summary, run);
      if (line === told || line === "") continue;
      told = line;
      if (options.json === true) await printJson(io, progress);
      else await io.stderr.write(`${cleanText(line)}\n`);
    }
  } finally {
    stopListening();
    deadline.cancel();
    abort.abort();
  }
  return end ?? { type: "gone" };
}

function tellProgress({ stack, name, message }: ServiceSummary, run: JobRunSummary): string {
  const { wanted, completed, active, failures } = run;
  const parts = [`${completed} of ${plural(wanted, "task")} complete`, `${active} at work`];
  if (failures > 0) parts.push(plural(failures, "failure"));
  const why = message === "" ? "" : `: ${message}`;
  return `${stack}/${name} run ${run.run}: ${parts.join(", ")}${why}`;
}

function tellResult({ result, wanted, completed }: JobRunSummary): string {
  if (result === "complete") return "is complete";
  return result === "failed"
    ? `failed with ${completed} of ${plural(wanted, "task")} complete`
    : "was replaced by another run";
}

function tellEnd(
  name: string,
  run: number,
  type: Exclude<End["type"], "over">,
  { timeout }: RunOptions,
): string {
  switch (type) {
    case "gone":
      return `${name} was removed meanwhile`;
    case "timedOut":
      return `${name} run ${run} was not over within ${formatDuration(timeout)}; it goes on`;
    case "detached":
      return `No longer watching ${name} run ${run}; it goes on`;
  }
}

/** The program's own code where there is one program, and 0 or 1 otherwise. */
function exitCodeOf({ result, wanted }: JobRunSummary, tasks: readonly TaskSummary[]): number {
  if (result === "complete") return 0;
  const code = wanted === 1 ? tasks[0]?.exitCode : undefined;
  return code === undefined || code === 0 ? 1 : code;
}

async function printOutput(context: Context, client: ApiClient, task: string): Promise<void> {
  const printer = new LogPrinter(context.io, { names: false });
  const { signal } = new AbortController();
  for await (const line of client.logs(task, { follow: false }, signal)) await printer.print(line);
}
