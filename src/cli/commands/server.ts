import { InvalidArgumentError, Option, type Command } from "commander";
import { isIP } from "node:net";
import { SERVER_PORT } from "../../model/server-address.ts";
import {
  allowBindFrom,
  allowBindOption,
  gossipPortOption,
  newCommand,
  resourceOption,
  resourcesFrom,
  parseCount,
  parseIp,
  pathFrom,
  timeArgument,
  type Context,
  type ServerOptions,
} from "../context.ts";
import type { Io } from "../io.ts";
import { readPassphrase } from "../passphrase.ts";
import { DATA_DIR_DEFAULT, RUN_DIR_DEFAULT, runDirOf } from "../socket-path.ts";

interface ServerFlags {
  dataDir: string;
  runDir?: string;
  runtime: "podman" | "fake";
  agent: boolean;
  podmanSocket?: string;
  listen: { host: string; port: number } | "none";
  advertise?: string;
  gossipPort: number;
  resource?: string[];
  allowBind?: string[];
  backupDir?: string;
  backupEvery: number;
  backupKeep: number;
  backupPassphraseFile?: string;
}

const BACKUP_EVERY_MS = 86_400_000;
const BACKUP_EVERY_MIN_MS = 60_000;
const BACKUPS_KEPT = 7;

const LISTEN_DEFAULT = { host: "0.0.0.0", port: SERVER_PORT };

export function serverCommand(context: Context): Command {
  const { io } = context;
  return newCommand({
    name: "server",
    description: "Runs the control plane, with an agent on this machine.",
    examples: ["orchd server", "orchd server --data-dir ./data --runtime fake"],
  })
    .addOption(
      new Option("--data-dir <dir>", "where the state is kept")
        .default(io.env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT)
        .helpGroup("Options:"),
    )
    .option(
      "--run-dir <dir>",
      `where sockets are (default: ${RUN_DIR_DEFAULT}, or the data directory when that is named)`,
    )
    .addOption(
      new Option("--runtime <name>", "what runs the containers")
        .choices(["podman", "fake"])
        .default("podman"),
    )
    .option("--no-agent", "run no containers on this machine")
    .option("--podman-socket <path>", "socket of a Podman service that runs already")
    .addOption(
      new Option("--listen <ip:port>", "where agents and other machines reach it, or none")
        .default(LISTEN_DEFAULT, `0.0.0.0:${SERVER_PORT}`)
        .argParser(parseListen),
    )
    .option("--advertise <ip>", "the address that others are told (default: found out)", parseIp)
    .addOption(resourceOption())
    .addOption(allowBindOption())
    .addOption(gossipPortOption())
    .option("--backup-dir <dir>", "make backups of the cluster's state there, see `orchd backup`")
    .addOption(
      new Option("--backup-every <time>", "how often")
        .default(BACKUP_EVERY_MS, "24h")
        .argParser(parseBackupEvery),
    )
    .addOption(
      new Option("--backup-keep <count>", "how many of them are kept")
        .default(BACKUPS_KEPT)
        .argParser(parseBackupKeep),
    )
    .option("--backup-passphrase-file <file>", "seal them with what the file says")
    .action(async (given: ServerFlags) => {
      const { dataDir, runDir, podmanSocket, listen, gossipPort } = given;
      const { runtime, agent, advertise, resource, allowBind } = given;
      const data = pathFrom(io, dataDir);
      context.exitCode = await context.program.startServer({
        dataDir: data,
        runDir: runDir === undefined ? runDirOf(data) : pathFrom(io, runDir),
        runtime,
        agent,
        ...(advertise === undefined ? {} : { advertise }),
        ...resourcesFrom(io, resource),
        ...allowBindFrom(io, allowBind),
        ...(listen === "none" ? {} : { listen: { ...listen, gossipPort } }),
        ...(podmanSocket === undefined ? {} : { podmanSocket: pathFrom(io, podmanSocket) }),
        ...backupsFrom(io, given),
      });
    });
}

function backupsFrom(io: Io, given: ServerFlags): Pick<ServerOptions, "backups"> {
  const { backupDir, backupEvery: everyMs, backupKeep: keep, backupPassphraseFile } = given;
  const passphrase = readPassphrase(io, backupPassphraseFile);
  if (backupDir === undefined) return {};
  const directory = pathFrom(io, backupDir);
  const sealing = passphrase === undefined ? {} : { passphrase };
  return { backups: { directory, everyMs, keep, ...sealing } };
}

function parseBackupEvery(text: string): number {
  const ms = timeArgument(text);
  if (ms >= BACKUP_EVERY_MIN_MS) return ms;
  throw new InvalidArgumentError("It must be a minute or longer.");
}

function parseBackupKeep(text: string): number {
  const count = parseCount(text);
  if (count > 0) return count;
  throw new InvalidArgumentError("It must be 1 or more.");
}

/** An address of this machine with a port, 0 for any that is free; or `none`. */
function parseListen(text: string): ServerFlags["listen"] {
  if (text === "none") return text;
  const [, literal, name, port = ""] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = literal ?? name ?? "";
  if (isIP(host) === 0 || Number(port) > 65_535) {
    throw new InvalidArgumentError(`Write it like 0.0.0.0:${SERVER_PORT}, or none.`);
  }
  return { host, port: Number(port) };
}
