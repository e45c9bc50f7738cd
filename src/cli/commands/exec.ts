import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { ExecOptions, ExecSession } from "../../model/session.ts";
import { collect, connect, newCommand, usageError, withConnection } from "../context.ts";
import type { Context } from "../context.ts";
import type { ConnectionOptions } from "../contexts/choose-server.ts";
import type { Io } from "../io.ts";

interface ExecFlags extends ConnectionOptions {
  interactive?: boolean;
  tty?: boolean;
  user?: string;
  workdir?: string;
  env?: string[];
}

export function execCommand(context: Context): Command {
  return withConnection(
    newCommand({
      name: "exec",
      description: "Runs a command in a task; the exit code is that of the command.",
      examples: ["orchd exec -it shop/web.1 -- sh", "orchd exec shop/db.1 -- cat /etc/hostname"],
    }),
  )
    .argument("<task>", "a task, or a service that runs only one")
    .argument("<command...>", "the command and its arguments, after -- if you like")
    .option("-i, --interactive", "pass on standard input")
    .option("-t, --tty", "with a terminal")
    .option("-u, --user <user>", "as this user of the container")
    .option("-w, --workdir <dir>", "in this directory of the container")
    .option("-e, --env <name=value>", "with this variable; can be given several times", collect)
    .passThroughOptions()
    .action(async (task: string, words: string[], flags: ExecFlags) => {
      context.exitCode = await exec(context, task, words, flags);
    });
}

async function exec(
  context: Context,
  target: string,
  words: string[],
  flags: ExecFlags,
): Promise<number> {
  const { io } = context;
  const options = optionsOf(io, words[0] === "--" ? words.slice(1) : words, flags);
  const client = await connect(context, flags);
  const task = await findTask(client, target);
  const session = await client.exec(task, options);
  return runSession(io, session, options);
}

function optionsOf(io: Io, command: string[], flags: ExecFlags): ExecOptions {
  const tty = flags.tty === true;
  if (command.length === 0) throw usageError("exec needs a command: orchd exec TASK -- COMMAND");
  if (tty && !(io.stdin.isTerminal && io.stdout.isTerminal)) {
    throw usageError("-t needs a terminal, and this is none: leave it out");
  }
  return {
    command,
    tty,
    stdin: flags.interactive === true,
    environment: parseEnvironment(io, flags.env ?? []),
    ...(flags.user === undefined ? {} : { user: flags.user }),
    ...(flags.workdir === undefined ? {} : { workingDir: flags.workdir }),
    ...(tty ? { size: io.stdout.size() } : {}),
  };
}

/** `K=V`, or `K` for the value that it has here. */
function parseEnvironment(io: Io, entries: readonly string[]): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const entry of entries) {
    const [, name, value] = /^([^=]+)(?:=([^]*))?$/.exec(entry) ?? [];
    if (name === undefined) throw usageError(`--env ${JSON.stringify(entry)} is not NAME=VALUE`);
    const given = value ?? io.env[name];
    if (given !== undefined) environment[name] = given;
  }
  return environment;
}

/** The id of the task that is meant: a service stands for its task when it runs only one. */
async function findTask(client: ApiClient, target: string): Promise<string> {
  const { kind, id, name, stack, service } = await client.resolve(target);
  if (kind === "task") return id;
  if (kind !== "service" || stack === undefined || service === undefined) {
    throw usageError(`${name} is a ${kind}: name a task, as \`orchd ps\` lists them`);
  }
  const tasks = await client.tasks({ stack, service });
  const running = tasks.filter((task) => task.state === "running");
  const [only] = running;
  if (only === undefined) {
    throw new OrchdError("conflict", `${name} runs no task: see \`orchd explain ${name}\``);
  }
  if (running.length === 1) return only.id;
  const names = running.slice(0, 5).map((task) => task.name);
  const more = running.length > names.length ? " …" : "";
  throw usageError(`${name} runs ${running.length} tasks: name one of ${names.join(", ")}${more}`);
}

/** Joins the command to this terminal until it ends; the terminal is put back in every case. */
async function runSession(io: Io, session: ExecSession, options: ExecOptions): Promise<number> {
  const interrupted = Promise.withResolvers<number>();
  const off = [
    // With a terminal, Ctrl-C is a key that the command gets.
    options.tty ? () => {} : io.onInterrupt(() => interrupted.resolve(130)),
    options.tty ? io.onResize(() => void session.resize(io.stdout.size())) : () => {},
  ];
  const stopInput = options.stdin ? passInput(io, session) : () => Promise.resolve();
  if (options.tty && options.stdin) io.stdin.setRaw(true);
  try {
    const ended = passOutput(io, session).then(() => session.exitCode);
    return await Promise.race([ended, interrupted.promise]);
  } finally {
    if (options.tty && options.stdin) io.stdin.setRaw(false);
    for (const stop of off) stop();
    session.close();
    await stopInput();
  }
}

async function passOutput(io: Io, session: ExecSession): Promise<void> {
  for await (const { stream, data } of session.output) await io[stream].write(data);
}

/** Answers how to stop, so that the process is not kept by an input that nobody reads. */
function passInput(io: Io, session: ExecSession): () => Promise<void> {
  const reader = io.stdin.read().getReader();
  const pump = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return session.closeStdin();
      await session.write(value);
    }
  };
  // An input that breaks ends like one that is at its end.
  pump().catch(() => session.closeStdin());
  return () => reader.cancel();
}
