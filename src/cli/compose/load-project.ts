import { dirname } from "node:path";
import type { loadCompose } from "../../core/compose/load.ts";
import { OrchdError } from "../../lib/errors.ts";
import { collect, pathFrom, usageError, type Context } from "../context.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import { findComposeFiles } from "./find-files.ts";
import { readFileBytes } from "../read-bytes.ts";
import { readTextFile, readTextStream } from "./read-file.ts";
import type { Command } from "commander";

/** Compose files, resolved: a stack, or problems. */
export type Project = ReturnType<typeof loadCompose>;

/** Options of every command that reads Compose files. */
export interface ProjectOptions {
  file?: string[];
  name?: string;
  envFile?: string[];
  profile?: string[];
}

/** Name that problems in standard input carry. */
const STDIN_NAME = "(standard input)";

export function withProjectOptions(command: Command): Command {
  return command
    .option("-n, --name <stack>", "name of the stack (default: the file's, or its directory's)")
    .option("--env-file <file>", "read variables from here instead of .env", collect)
    .option("--profile <name>", "with the services of this profile", collect);
}

/**
 * Reads and resolves the Compose files; problems are in the answer, not printed.
 * @param text a file that is on no disk, instead of those of the options
 */
export async function loadProject(
  context: Context,
  options: ProjectOptions,
  text?: string,
): Promise<Project> {
  const { io } = context;
  const paths = text === undefined ? await chooseFiles(io, options.file ?? []) : ["-"];
  const files: { path: string; text: string }[] = [];
  for (const path of text === undefined ? paths : []) files.push(await readFile(io, path));
  if (text !== undefined) files.push({ path: "(command line)", text });
  const { loadCompose } = await import("../../core/compose/load.ts");
  const first = paths[0] ?? "-";
  return loadCompose({
    files,
    projectDirectory: first === "-" ? io.cwd : dirname(pathFrom(io, first)),
    profiles: options.profile ?? [],
    environment: definedIn(io.env),
    envFiles: (options.envFile ?? []).map((path) => pathFrom(io, path)),
    read: (path) => readTextFile(pathFrom(io, path)),
    readContent: (path) => readFileBytes(pathFrom(io, path), { mayWait: false }),
    ...(options.name === undefined ? {} : { name: options.name }),
  });
}

async function chooseFiles(io: Io, named: readonly string[]): Promise<readonly string[]> {
  if (named.filter((path) => path === "-").length > 1) {
    throw usageError("standard input can be read only once: name - only once");
  }
  if (named.length > 0) return named;
  const separator = io.env["COMPOSE_PATH_SEPARATOR"] || ":";
  const fromEnvironment = (io.env["COMPOSE_FILE"] ?? "").split(separator).filter(Boolean);
  if (fromEnvironment.length > 0) return fromEnvironment;
  const { paths, warnings } = findComposeFiles(io.cwd);
  for (const warning of warnings) {
    const text = `warning: ${cleanText(warning)}`;
    await io.stderr.write(`${paintFor(io, io.stderr)("yellow", text)}\n`);
  }
  return paths;
}

async function readFile(io: Io, path: string): Promise<{ path: string; text: string }> {
  const isStdin = path === "-";
  if (isStdin && io.stdin.isTerminal) {
    throw usageError("standard input is a terminal: pipe a Compose file into it, or name a file");
  }
  const read = isStdin ? await readTextStream(io.stdin.read()) : readTextFile(pathFrom(io, path));
  const name = isStdin ? STDIN_NAME : path;
  if (read.ok) return { path: name, text: read.text };
  throw new OrchdError("invalid", `can't read ${name}: ${read.message}`);
}

function definedIn(env: Io["env"]): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) defined[name] = value;
  return defined;
}
