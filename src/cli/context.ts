import { Command, InvalidArgumentError, Option } from "commander";
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { ApiClient } from "../api/client.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Diagnosis, DoctorOptions } from "../model/diagnosis.ts";
import type { NetworkMode } from "../model/network-map.ts";
import type { Strategy } from "../model/service.ts";
import type { BuildInfo } from "./build-info.ts";
import { chooseServer, type ConnectionOptions } from "./contexts/choose-server.ts";
import type { Io } from "./io.ts";
import { parseDuration } from "./output/parse-time.ts";
import type { RuntimeName, RuntimeSockets } from "./runtime-options.ts";
import { DATA_DIR_DEFAULT, RUN_DIR_DEFAULT } from "./socket-path.ts";

/** What `orchd server` was asked to be. */
export interface ServerOptions {
  dataDir: string;
  runDir: string;
  runtime: RuntimeName;
  agent: boolean;
  sockets: RuntimeSockets;
  /** Where agents and other machines reach it; absent means nowhere. */
  listen?: { host: string; port: number; gossipPort: number };
  advertise?: string;
  /** How much the machine has of what people gave a name. */
  resources?: Record<string, number>;
  /** Directories of the machine that tasks may mount; absent means all but orchd's own. */
  allowBind?: string[];
  /** Directories of the machine whose programs tasks may run without a container. */
  processes?: string[];
  /** Backups of the cluster that it makes by itself. */
  backups?: { directory: string; everyMs: number; keep: number; passphrase?: string };
  /** Where the addresses of tasks and services are from: chosen when the cluster is made. */
  clusterRange?: string;
  /** How tasks of one node reach those of another; absent means as it was. */
  network?: NetworkMode;
  /** How tasks are placed whose service says nothing of it. */
  strategy: Strategy;
  ingress: IngressChoice;
}

/** Where a node takes requests for services; 0 takes none. */
export interface IngressChoice {
  http: number;
  https: number;
  /** Whether each request has a line in the log. */
  log: boolean;
}

/** What `orchd restore` was asked to put back, where no server runs. */
export interface ClusterRestore {
  file: string;
  dataDir: string;
  passphrase: string | undefined;
  replace: boolean;
}

/** What was put back. */
export interface ClusterRestored {
  /** Milliseconds since 1970. */
  createdAt: number;
  nodes: number;
  services: number;
  /** Where the files of the cluster before lie now. */
  movedTo?: string;
}

/** What `orchd join` was asked to be. */
export interface JoinOptions {
  dataDir: string;
  runDir: string;
  runtime: RuntimeName;
  /** Undefined when the machine is a node already. */
  token: string | undefined;
  /** `HOST:PORT` of servers; none means that they are looked for. */
  servers: string[];
  labels: Record<string, string>;
  /** How much the machine has of what people gave a name. */
  resources?: Record<string, number>;
  /** Directories of the machine that tasks may mount; absent means all but orchd's own. */
  allowBind?: string[];
  /** Directories of the machine whose programs tasks may run without a container. */
  processes?: string[];
  name: string | undefined;
  /** Address by which others reach the node. */
  advertise: string | undefined;
  gossipPort: number;
  sockets: RuntimeSockets;
  ingress: IngressChoice;
}

/** What the executable is beside a command line; the entry file wires it. */
export interface Program {
  readonly build: BuildInfo;
  /** Runs until the server has stopped; answers the exit code. */
  startServer(options: ServerOptions): Promise<number>;
  /** Runs until the agent has stopped; answers the exit code. */
  startAgent(options: JoinOptions): Promise<number>;
  restoreCluster(options: ClusterRestore): Promise<ClusterRestored>;
  /** Looks at this machine for what stands in orchd's way; for root alone. */
  examineMachine(options: DoctorOptions): Promise<Diagnosis>;
}

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

/** Where memberlist, serf and Consul gossip too. */
const GOSSIP_PORT = 7946;

export function gossipPortOption(): Option {
  return new Option("--gossip-port <port>", "where nodes tell each other that they are alive")
    .default(GOSSIP_PORT)
    .argParser(parsePort);
}

/** What `ingressOptions` make of a command line. */
export interface IngressFlags {
  ingressHttp: number;
  ingressHttps: number;
  ingressLog?: boolean;
}

export function ingressOptions(): Option[] {
  return [
    ...ingressPortOptions(),
    new Option("--ingress-log", "write a line for each of these requests"),
  ];
}

export function ingressPortOptions(): Option[] {
  const where = "where requests for services are taken";
  const parse = (text: string) => (text === "off" ? 0 : parsePort(text));
  return [
    new Option("--ingress-http <port>", `${where} over HTTP, or off`).default(80).argParser(parse),
    new Option("--ingress-https <port>", `${where} over HTTPS, or off`)
      .default(443)
      .argParser(parse),
  ];
}

export function ingressFrom(flags: IngressFlags): IngressChoice {
  const { ingressHttp: http, ingressHttps: https, ingressLog: log = false } = flags;
  if (http === https && http > 0) {
    throw usageError("--ingress-http and --ingress-https can't be the same port");
  }
  return { http, https, log };
}

const RESOURCE = /^([a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?)=(\d{1,9})$/;

/** `--resource lora=2` */
export function resourceOption(): Option {
  return new Option(
    "--resource <kind=count>",
    "what the machine has for tasks that reserve it; can be given several times",
  ).argParser(collect);
}

/** What the options say, or else the environment, in which blanks part several. */
export function resourcesFrom(
  io: Io,
  given: readonly string[] | undefined,
): { resources?: Record<string, number> } {
  const texts = given ?? io.env["ORCHD_RESOURCES"]?.split(/[\s,]+/).filter(Boolean) ?? [];
  const pairs = texts.map((text): [string, number] => {
    const [, kind, count] = RESOURCE.exec(text) ?? [];
    if (kind === undefined) {
      throw usageError(`a resource must be written like lora=2, not ${JSON.stringify(text)}`);
    }
    return [kind, Number(count)];
  });
  return pairs.length === 0 ? {} : { resources: Object.fromEntries(pairs) };
}

/** `--allow-bind /srv` */
export function allowBindOption(): Option {
  return new Option(
    "--allow-bind <path>",
    "tasks may mount this directory and no other, or none; can be given several times",
  ).argParser(collect);
}

/** What the options say, or else the environment, in which colons part several. */
export function allowBindFrom(
  io: Io,
  given: readonly string[] | undefined,
): { allowBind?: string[] } {
  const paths = given ?? io.env["ORCHD_ALLOW_BIND"]?.split(":").filter(Boolean);
  if (paths === undefined) return {};
  if (paths.includes("none") && paths.length > 1) {
    throw usageError("--allow-bind none goes with no other --allow-bind");
  }
  return { allowBind: paths.filter((path) => path !== "none").map((path) => pathFrom(io, path)) };
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
