import { CommanderError, type Command } from "commander";
import { nearest } from "../lib/text.ts";
import { COMMANDS, findCommand, type CommandEntry } from "./commands.ts";
import { usageError, type Context } from "./context.ts";
import type { Program } from "./program.ts";
import type { Io } from "./io.ts";
import { formatHelp } from "./help.ts";
import { reportError } from "./report-error.ts";
import { splitCommand } from "./split-command.ts";

/**
 * Runs one command line.
 * @param argv what stands behind the program's name
 * @returns the exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 not reachable, 4 timed out,
 *   130 interrupted; `exec` passes on the code of its command
 */
export async function runCli(argv: readonly string[], io: Io, program: Program): Promise<number> {
  const context: Context = { io, program, exitCode: 0 };
  const { name, rest } = splitCommand(argv);
  try {
    if (name === "__complete") return await complete(context, rest);
    if (name === undefined || (name === "help" && rest.length === 0) || isHelp(name)) {
      await io[name === undefined ? "stderr" : "stdout"].write(formatHelp(program.build));
      return name === undefined ? 2 : 0;
    }
    const wanted = name === "help" ? (rest[0] ?? "") : name;
    const entry = findCommand(wanted);
    if (entry === undefined) throw unknownCommand(wanted);
    refuseUnsafeEnvironment(io);
    return await runCommand(context, entry, name === "help" ? ["--help"] : rest);
  } catch (error) {
    return reportError(io, error);
  }
}

/** With this variable nothing that speaks TLS would notice whom it speaks with. */
function refuseUnsafeEnvironment(io: Io): void {
  if (io.env["NODE_TLS_REJECT_UNAUTHORIZED"] === undefined) return;
  throw usageError(
    "NODE_TLS_REJECT_UNAUTHORIZED is set, which can switch off the check of certificates: " +
      "unset it, orchd does not run with it",
  );
}

async function runCommand(context: Context, entry: CommandEntry, args: readonly string[]) {
  const { io } = context;
  const command = (await entry.load())(context);
  const help: string[] = [];
  for (const each of [command, ...command.commands]) quieten(each, io, (text) => help.push(text));
  try {
    await command.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) {
      await io.stdout.write(help.join(""));
      return 0;
    }
    const message =
      error.code === "commander.help"
        ? `it needs one of ${command.commands.map((each) => each.name()).join(", ")}`
        : error.message.replace(/^error: /, "").replace(/\n/g, " ");
    const problem = usageError(`orchd ${entry.name}: ${message}`);
    return reportError(io, problem, `See \`orchd ${entry.name} --help\`.`);
  }
}

/** Lets the parser throw where it would print and end the process. */
function quieten(command: Command, io: Io, writeOut: (text: string) => void): void {
  command.exitOverride().configureOutput({
    writeOut,
    writeErr: () => {},
    getOutHelpWidth: () => Math.min(100, io.stdout.size().columns),
    getOutHasColors: () => false,
  });
}

function isHelp(word: string): boolean {
  return word === "--help" || word === "-h";
}

function unknownCommand(name: string): Error {
  const names = COMMANDS.map((entry) => entry.name);
  const near = nearest(name, names);
  const what = name.startsWith("-") ? "option" : "command";
  const advice = near === undefined ? "see `orchd --help`" : `did you mean \`orchd ${near}\`?`;
  return usageError(`there is no ${what} ${JSON.stringify(name)}: ${advice}`);
}

async function complete(context: Context, words: readonly string[]): Promise<number> {
  const { printCompletions } = await import("./complete/complete.ts");
  await printCompletions(context, words);
  return 0;
}
