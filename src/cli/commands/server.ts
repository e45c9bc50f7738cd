import { InvalidArgumentError, Option, type Command } from "commander";
import { isIP } from "node:net";
import { CLUSTER_RANGE_DEFAULT } from "../../model/cluster.ts";
import { type NetworkMode, networkModeSchema } from "../../model/network-map.ts";
import { SERVER_PORT } from "../../model/server-address.ts";
import { STRATEGIES, type Strategy } from "../../model/service.ts";
import { type BackupFlags, backupOptions, backupsFrom } from "../backup-options.ts";
import {
  allowBindFrom,
  allowBindOption,
  gossipPortOption,
  ingressFrom,
  type IngressFlags,
  ingressOptions,
  newCommand,
  resourceOption,
  resourcesFrom,
  parseIp,
  pathFrom,
  type Context,
} from "../context.ts";
import { DATA_DIR_DEFAULT, RUN_DIR_DEFAULT, runDirOf } from "../socket-path.ts";
import { type RuntimeFlags, runtimeFrom, runtimeOptions } from "../runtime-options.ts";

interface ServerFlags extends BackupFlags, IngressFlags, RuntimeFlags {
  dataDir: string;
  runDir?: string;
  agent: boolean;
  listen: { host: string; port: number } | "none";
  advertise?: string;
  gossipPort: number;
  resource?: string[];
  allowBind?: string[];
  clusterRange?: string;
  network?: NetworkMode;
  strategy: Strategy;
}

const LISTEN_DEFAULT = { host: "0.0.0.0", port: SERVER_PORT };

export function serverCommand(context: Context): Command {
  const { io } = context;
  const command = newCommand({
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
    .option("--no-agent", "run no containers on this machine")
    .addOption(
      new Option("--listen <ip:port>", "where agents and other machines reach it, or none")
        .default(LISTEN_DEFAULT, `0.0.0.0:${SERVER_PORT}`)
        .argParser(parseListen),
    )
    .option("--advertise <ip>", "the address that others are told (default: found out)", parseIp)
    .option(
      "--cluster-range <cidr>",
      "where the addresses of tasks and services are from, chosen when the cluster is made " +
        `(default: ${CLUSTER_RANGE_DEFAULT})`,
    )
    .addOption(
      new Option(
        "--network <mode>",
        "how tasks of one node reach those of another (default: vxlan, or as it was)",
      ).choices(networkModeSchema.options),
    )
    .addOption(resourceOption())
    .addOption(allowBindOption())
    .addOption(
      new Option("--strategy <name>", "how tasks are placed whose file says nothing of it")
        .choices(STRATEGIES)
        .default("spread"),
    )
    .addOption(gossipPortOption())
    .action(async (given: ServerFlags) => {
      const { dataDir, runDir, listen, gossipPort, resource, ...others } = given;
      const { ingressHttp: _http, ingressHttps: _https, ingressLog: _log, ...more } = others;
      const { allowBind, backupDir: _to, backupEvery: _every, ...rest } = more;
      const { backupKeep: _keep, backupPassphraseFile: _file, ...unsorted } = rest;
      const { podmanSocket: _podman, containerdSocket: _containerd, ...unread } = unsorted;
      const { allowProcess: _allowProcess, ...flags } = unread;
      const data = pathFrom(io, dataDir);
      context.exitCode = await context.program.startServer({
        dataDir: data,
        runDir: runDir === undefined ? runDirOf(data) : pathFrom(io, runDir),
        ...flags,
        ingress: ingressFrom(given),
        ...resourcesFrom(io, resource),
        ...allowBindFrom(io, allowBind),
        ...backupsFrom(io, given),
        ...(listen === "none" ? {} : { listen: { ...listen, gossipPort } }),
        ...runtimeFrom(io, given),
      });
    });
  for (const option of [...runtimeOptions(), ...ingressOptions(), ...backupOptions()])
    command.addOption(option);
  return command;
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
