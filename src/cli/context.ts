import { Command, InvalidArgumentError, Option } from "commander";
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { ApiClient } from "../api/client.ts";
import { OrchdError } from "../lib/errors.ts";
import { chooseServer, type ConnectionOptions } from "./contexts/choose-server.ts";
import type { Io } from "./io.ts";
import { parseDuration } from "./output/parse-time.ts";
import type { Program } from "./program.ts";
import { DATA_DIR_DEFAULT, RUN_DIR_DEFAULT } from "./socket-path.ts";

/** What a command gets, and where it leaves its exit code. */
export interface Context {
  readonly io: Io;
  readonly program: Program;
  exitCode: number;
}

export interface RemoteOptions extends ConnectionOptions {
  json?: boolean;
}

export interface CommandText {
  name: string;
  /** What it does, for its help. */
  description: string;
  /** Lines that a person can type. */
  examples: readonly string[];
}

/** A command with its help; its errors are thrown, and printed in one place. */
export function newCommand({ name, description, examples }: CommandText): Command {
  return new Command(`orchd ${name}`)
    .description(description)
    .helpOption("-h, --help", "show this help")
    .addHelpText("after", `\nExamples:\n${examples.map((line) => `  ${line}`).join("\n")}`);
}

/** A command that asks a server: it can be told which, and answers in JSON when asked. */
export function newRemoteCommand(text: CommandText): Command {
  return withConnection(newCommand(text).option("--json", "print JSON, in the shapes of the API"));
}

/** A command that can be told which server it asks. */
export function withConnection(command: Command): Command {
  return command
    .option("--context <name>", "context of the server, see `orchd context` (or ORCHD_CONTEXT)")
    .option("--socket <path>", `socket of the server (default: ${RUN_DIR_DEFAULT}/orchd.sock)`)
    .option("--data-dir <dir>", `data directory of the server (default: ${DATA_DIR_DEFAULT})`);
}

export async function connect(
  { io }: Context,
  options: ConnectionOptions,
  timeoutMs?: number,
): Promise<ApiClient> {
  const { ApiClient } = await import("../api/client.ts");
  const choice = await chooseServer(options, io);
  if ("socketPath" in choice) return ApiClient.onSocket(choice.socketPath, timeoutMs);
  return ApiClient.onServer(choice.server, timeoutMs);
}

/** One value as one line of JSON. */
export async function printJson(io: Io, value: unknown): Promise<void> {
  await io.stdout.write(`${JSON.stringify(value)}\n`);
}

export async function printLines(io: Io, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await io.stdout.write(`${lines.join("\n")}\n`);
}

/** A wrong usage that the parser can't see. */
export function usageError(message: string): OrchdError {
  return new OrchdError("usage", message);
}

export function pathFrom(io: Io, path: string): string {
  return resolve(io.cwd, path);
}

/** For options that can be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) {
    throw new InvalidArgumentError("It must be a whole number.");
  }
  return count;
}

export function parseIp(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError("It must be an IP address.");
  return text;
}

export function parsePort(text: string): number {
  const port = parseCount(text);
  if (port > 65_535) throw new InvalidArgumentError("It must be a port, up to 65535.");
  return port;
}

/** How long a command that waits may do so. */
export function timeoutOption(): Option {
  return new Option("--timeout <time>", "wait no longer than this, such as 90s or 1h")
    .default(600_000, "10m")
    .argParser(timeArgument);
}

/** The value of an option that is a length of time, in ms. */
export function timeArgument(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Write it like 90s, 10m or 1h30m.");
  return ms;
}
