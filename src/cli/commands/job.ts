import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { StartedRun } from "../../model/summary.ts";
import { loadProject } from "../compose/load-project.ts";
import { formatRefusal, printProblems } from "../compose/print-problems.ts";
import { sendContents } from "../compose/send-contents.ts";
import { connect, newCommand, newRemoteCommand, parseCount, printJson } from "../context.ts";
import { collect, printLines, timeoutOption, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { followRun, tasksOfRun } from "../jobs/follow-run.ts";
import { fetchJobs, jobColumns, type JobRow } from "../jobs/listing.ts";
import { composeOf } from "../jobs/one-off.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";
import { cleanText } from "../output/clean.ts";
import { printLogsOf, requestOf, type LogsOptions } from "./logs.ts";

interface RunJobOptions extends RemoteOptions {
  name?: string;
  env?: string[];
  constraint?: string[];
  count: number;
  retries: number;
  deadline?: string;
  rm?: boolean;
  detach?: boolean;
  timeout: number;
}

export function jobCommand(context: Context): Command {
  return (
    newCommand({
      name: "job",
      description: "Runs jobs, and shows how their runs went and what they printed.",
      examples: [
        "orchd job run shop/migrate",
        "orchd job run jobs.yaml",
        "orchd job run --name hello alpine echo hello",
        "orchd job ls",
        "orchd job logs shop/migrate",
      ],
    })
      .helpCommand(false)
      // What stands behind an image is its own command line.
      .enablePositionalOptions()
      .addCommand(runCommand(context))
      .addCommand(listCommand(context))
      .addCommand(logsCommand(context))
  );
}

function runCommand(context: Context): Command {
  return newRemoteCommand({
    name: "run",
    description:
      "Runs a job of the cluster again, the jobs of a Compose file, or an image, and waits.\n" +
      "With one task the exit code is its program's. Ctrl-C stops the watching, not the work.",
    examples: [
      "orchd job run shop/migrate",
      "orchd job run jobs.yaml --detach",
      "orchd job run --name hello -e WHO=world alpine sh -c 'echo hello $WHO'",
    ],
  })
    .name("run")
    .argument("<what>", "`stack/service`, a Compose file (.yaml, .yml), or an image")
    .argument("[command...]", "what the image runs instead of its own command")
    .passThroughOptions()
    .option("-n, --name <name>", "run an image as a job of this name (default: the image's)")
    .option("-e, --env <variable>", "of an image: KEY=VALUE, several times", collect)
    .option("--constraint <constraint>", "of an image: where it may run, several times", collect)
    .option("--count <tasks>", "of an image: so many tasks that are to complete", parseCount, 1)
    .option("--retries <failures>", "of an image: so many tasks may fail", parseCount, 0)
    .option("--deadline <time>", "of an image: give up after this, such as 10m")
    .option("--rm", "of an image: remove the job once it is over")
    .option("-d, --detach", "do not wait")
    .addOption(timeoutOption())
    .action(async (what: string, words: string[], _: RunJobOptions, self: Command) => {
      const command = commandIn(words, self);
      context.exitCode = await run(context, what, command, self.opts<RunJobOptions>());
    });
}

/** Options may also stand behind what is run; no program's name begins with a dash. */
function commandIn(words: string[], self: Command): string[] {
  if (words[0]?.startsWith("-") !== true) return words;
  const { operands, unknown } = self.parseOptions(words);
  const [first] = unknown;
  if (first !== undefined) throw usageError(`there is no option ${cleanText(first)}`);
  return operands;
}

async function run(
  context: Context,
  what: string,
  command: readonly string[],
  options: RunJobOptions,
): Promise<number> {
  const { io } = context;
  const client = await connect(context, options);
  const started = await begin(context, client, what, command, options);
  if (typeof started === "number") return started;
  if (options.detach === true) {
    if (options.json === true) await printJson(io, started);
    else {
      const names = started.map((one) => `${one.stack}/${one.service} run ${one.run}`);
      await printLines(io, [cleanText(`began ${names.join(", ")}: see \`orchd job ls\``)]);
    }
    return 0;
  }
  let worst = 0;
  for (const one of started) worst ||= await followRun(context, client, one, options);
  const [first] = started;
  if (options.rm === true && first !== undefined) await client.remove(first.stack);
  return worst;
}

/** Begins what was named; answers the runs, or the exit code of a refusal. */
async function begin(
  context: Context,
  client: ApiClient,
  what: string,
  command: readonly string[],
  options: RunJobOptions,
): Promise<StartedRun[] | number> {
  const isImage = options.name !== undefined || command.length > 0;
  if (!isImage && /\.ya?ml$/.test(what)) {
    refuseImageOptions(options, "a file");
    return beginFile(context, client, { file: [what] });
  }
  const service = isImage ? undefined : await findJob(client, what);
  if (service !== undefined) {
    refuseImageOptions(options, "a job of the cluster");
    return [await client.runJob(service.stack, service.service)];
  }
  const { name, text } = composeOf({
    image: what,
    command,
    environment: options.env ?? [],
    constraints: options.constraint ?? [],
    count: options.count,
    retries: options.retries,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.deadline === undefined ? {} : { deadline: options.deadline }),
  });
  if ((await client.stacks()).some((stack) => stack.name === name)) {
    const hint = `run it again with \`orchd job run ${name}/${name}\`, or remove it first`;
    throw new OrchdError("conflict", `there is a stack ${name} already: ${hint}`);
  }
  return beginFile(context, client, { name }, text);
}

function refuseImageOptions(options: RunJobOptions, what: string): void {
  const { env, constraint, deadline, rm, count, retries } = options;
  const given = [env, constraint, deadline, rm].some((one) => one !== undefined);
  if (!given && count === 1 && retries === 0) return;
  const names = "--env, --constraint, --count, --retries, --deadline and --rm";
  throw usageError(`${names} go with an image: ${what} says so itself`);
}

/** The service that `what` names; undefined where nothing of the cluster is called so. */
async function findJob(
  client: ApiClient,
  what: string,
): Promise<{ stack: string; service: string } | undefined> {
  try {
    const { kind, name, stack, service } = await client.resolve(what);
    if (kind === "service" && stack !== undefined && service !== undefined) {
      return { stack, service };
    }
    throw usageError(`${name} is a ${kind}: name a job, as \`orchd job ls\` lists them`);
  } catch (error) {
    if (error instanceof OrchdError && error.code === "notFound") return undefined;
    throw error;
  }
}

/** Applies a file and runs each of its jobs, also those that are unchanged. */
async function beginFile(
  context: Context,
  client: ApiClient,
  project: { file?: string[]; name?: string },
  text?: string,
): Promise<StartedRun[] | number> {
  const { io } = context;
  const { name, spec, contents, problems } = await loadProject(context, project, text);
  const { formatProblem } = await import("../../core/compose/load.ts");
  const errors = await printProblems(io, problems, formatProblem);
  if (spec === undefined || errors > 0) {
    await io.stderr.write(`${formatRefusal(errors)}\n`);
    return 1;
  }
  const jobs = Object.entries(spec.services).filter(([, { mode }]) => mode.endsWith("-job"));
  if (jobs.length === 0) throw usageError(`stack ${name} has no job: give one deploy.mode`);
  const before = await client.services(name);
  const { plan } = await client.apply(name, await sendContents(client, spec, contents));
  const started: StartedRun[] = [];
  for (const [service, { schedule }] of jobs) {
    const known = before.find((one) => one.name === service)?.job?.runs[0]?.run ?? 0;
    const line = plan.find((one) => one.service === `${name}/${service}`);
    const begins = schedule === undefined && ["create", "replace"].includes(line?.action ?? "");
    if (begins) started.push({ stack: name, service, run: known + 1 });
    else started.push(await client.runJob(name, service));
  }
  return started;
}

function listCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists jobs: how their latest run stands, and why.",
    examples: ["orchd job ls", "orchd job ls shop --watch"],
  })
    .name("ls")
    .argument("[stack]", "only jobs of this stack")
    .option(...WATCH_FLAG)
    .action(async (stack: string | undefined, options: ListOptions) => {
      const listing: Listing<JobRow> = {
        fetch: (client) => fetchJobs(client, stack),
        columns: jobColumns,
        empty: "There is no job: run one with `orchd job run IMAGE`.",
      };
      context.exitCode = await showList(context, listing, options);
    });
}

function logsCommand(context: Context): Command {
  return newRemoteCommand({
    name: "logs",
    description: "Shows what the tasks of a run printed: of the latest one, or of --run.",
    examples: ["orchd job logs shop/migrate", "orchd job logs -f shop/backup --run 7"],
  })
    .name("logs")
    .argument("<job>", "`stack/service`, or `service` where only one stack has it")
    .option("--run <number>", "the tasks of this run", parseCount)
    .option("-f, --follow", "go on with what they print, until Ctrl-C")
    .option("-n, --tail <lines>", "only so many of the last lines of each task", parseCount)
    .option("-t, --timestamps", "with the time of each line")
    .action(async (what: string, options: LogsOptions & { run?: number }) => {
      const client = await connect(context, options);
      const { name, stack, service } = await client.resolve(what);
      const summary = (await client.services(stack)).find((one) => one.name === service);
      const runs = summary?.job?.runs;
      if (stack === undefined || service === undefined || runs === undefined) {
        throw usageError(`${name} is no job: \`orchd job ls\` lists them`);
      }
      const run = runs.find((one) => options.run === undefined || one.run === options.run);
      if (run === undefined) {
        const asked = options.run === undefined ? "no run yet" : `no run ${options.run} any more`;
        throw new OrchdError("notFound", `${name} has ${asked}`);
      }
      const tasks = await tasksOfRun(client, { stack, service }, run);
      const ids = tasks.map((task) => task.id);
      const names = tasks.length !== 1;
      const request = requestOf(options, context.io.clock.now());
      context.exitCode = await printLogsOf(context, client, { ids, names, request }, options);
    });
}
