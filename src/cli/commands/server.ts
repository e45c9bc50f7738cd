import { InvalidArgumentError, Option, type Command } from "commander";
import { isIP } from "node:net";
import { CLUSTER_RANGE_DEFAULT } from "../../model/cluster.ts";
import { type NetworkMode, networkModeSchema } from "../../model/network-map.ts";
import { SERVER_PORT } from "../../model/server-address.ts";
import { STRATEGIES, type Strategy } from "../../model/service.ts";
import { type BackupFlags, backupOptions, backupsFrom } from "../backup-options.ts";
import { newCommand, type Context } from "../context.ts";
import { type UpstreamFlags, upstreamFrom, upstreamOptions } from "../upstream-options.ts";
import { nodeFrom, type NodeFlags, nodeOptions } from "../node-options.ts";

interface ServerFlags extends BackupFlags, NodeFlags, UpstreamFlags {
  agent: boolean;
  listen: { host: string; port: number } | "none";
  clusterRange?: string;
  network?: NetworkMode;
  ipv6?: boolean;
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
    .option("--no-agent", "run no containers on this machine")
    .addOption(
      new Option("--listen <ip:port>", "where agents and other machines reach it, or none")
        .default(LISTEN_DEFAULT, `0.0.0.0:${SERVER_PORT}`)
        .argParser(parseListen),
    )
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
    .option(
      "--ipv6",
      "give tasks and services IPv6 addresses too, chosen when the cluster is made; " +
        "needs vxlan or wireguard",
    )
    .addOption(
      new Option("--strategy <name>", "how tasks are placed whose file says nothing of it")
        .choices(STRATEGIES)
        .default("spread"),
    )
    .action(async (flags: ServerFlags) => {
      const { agent, listen, clusterRange, network, ipv6, strategy } = flags;
      const { gossipPort, gossipPreset } = flags;
      const gossip = { gossipPort, ...(gossipPreset && { gossipPreset }) };
      context.exitCode = await context.program.startServer({
        ...nodeFrom(io, flags),
        agent,
        ...(listen === "none" ? {} : { listen: { ...listen, ...gossip } }),
        ...(clusterRange === undefined ? {} : { clusterRange }),
        ...(network === undefined ? {} : { network }),
        ...(ipv6 === undefined ? {} : { ipv6 }),
        strategy,
        ...backupsFrom(io, flags),
        ...(await upstreamFrom(io, flags)),
      });
    });
  for (const option of [...nodeOptions(io), ...backupOptions(), ...upstreamOptions()])
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
