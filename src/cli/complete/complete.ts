import type { Command, Option } from "commander";
import { COMMANDS, findCommand, type CommandEntry } from "../commands.ts";
import { printLines, type Context } from "../context.ts";
import type { ConnectionOptions } from "../contexts/choose-server.ts";
import { cleanText } from "../output/clean.ts";
import { FILES, type Candidate } from "./candidate.ts";
import { completeContext, completeName } from "./names.ts";

/** Options whose value is a path, by their name. */
const PATH_OPTIONS = new Set([
  "--file",
  "--env-file",
  "--socket",
  "--podman-socket",
  "--containerd-socket",
  "--docker-socket",
  "--data-dir",
]);

/**
 * Prints what could stand for the last of `words`.
 * @param words what stands behind the program's name; `--` in front is left out
 */
export async function printCompletions(context: Context, words: readonly string[]): Promise<void> {
  const typed = words[0] === "--" ? words.slice(1) : words;
  const candidates = await completeWords(context, typed);
  const lines = candidates.map(({ value, description }) =>
    description === "" ? cleanText(value) : `${cleanText(value)}\t${cleanText(description)}`,
  );
  await printLines(context.io, lines);
}

async function completeWords(context: Context, words: readonly string[]): Promise<Candidate[]> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const [name] = before;
  if (name === undefined) return completeCommand(current);
  const entry = findCommand(name);
  if (entry === undefined) return [];
  const command = (await entry.load())(context);
  const candidates = await completeArgument(context, entry, command, before.slice(1), current);
  return candidates.filter(({ value }) => value.startsWith(current) || value === ":file");
}

function completeCommand(current: string): Candidate[] {
  const all = COMMANDS.map(({ name, summary }) => ({ value: name, description: summary }));
  return all.filter(({ value }) => value.startsWith(current));
}

async function completeArgument(
  context: Context,
  entry: CommandEntry,
  command: Command,
  before: readonly string[],
  current: string,
): Promise<Candidate[]> {
  const nested = command.commands.find((each) => each.name() === before[0]);
  const at = nested ?? command;
  const previous = before.at(-1) ?? "";
  const open = at.options.find((option) => takesValue(option) && isNamed(option, previous));
  if (open?.long === "--context") return completeContext(context);
  if (open !== undefined) return completeValue(open);
  if (entry.name === "exec" && operandsIn(at, before).length > 0) return FILES;
  if (current.startsWith("-")) return at.options.filter((o) => !o.hidden).map(optionCandidate);
  if (at.commands.length > 0) {
    return at.commands.map((each) => ({ value: each.name(), description: each.description() }));
  }
  const named = operandsIn(at, before);
  const isMore = at.registeredArguments.some((argument) => argument.variadic);
  const taken = nested === undefined ? named : named.slice(1);
  if (!isMore && taken.length >= at.registeredArguments.length) return [];
  if (at.registeredArguments[taken.length]?.name() === "file") return FILES;
  return completeName(context, entry.completes, current, connectionIn(before));
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function isNamed(option: Option, word: string): boolean {
  return word === option.long || word === option.short;
}

function completeValue(option: Option): Candidate[] {
  if (PATH_OPTIONS.has(option.long ?? "")) return FILES;
  return (option.argChoices ?? []).map((value) => ({ value, description: "" }));
}

function optionCandidate(option: Option): Candidate {
  return { value: option.long ?? option.flags, description: option.description };
}

/** The words that are neither options nor their values. */
function operandsIn(command: Command, words: readonly string[]): string[] {
  return words.filter((word, index) => {
    if (word.startsWith("-")) return false;
    const previous = words[index - 1] ?? "";
    return !command.options.some((option) => takesValue(option) && isNamed(option, previous));
  });
}

/** The server that the line names so far. */
function connectionIn(words: readonly string[]): ConnectionOptions {
  const valueOf = (option: string) =>
    words.includes(option) ? words[words.indexOf(option) + 1] : undefined;
  const [context, socket, dataDir] = ["--context", "--socket", "--data-dir"].map(valueOf);
  return {
    ...(context === undefined ? {} : { context }),
    ...(socket === undefined ? {} : { socket }),
    ...(dataDir === undefined ? {} : { dataDir }),
  };
}
