import type { Command } from "commander";
import { plural } from "../../lib/text.ts";
import type {
  EndpointSummary,
  NetworkInspection,
  NetworkSummary,
} from "../../model/network-summary.ts";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor, type Paint } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

const listing: Listing<NetworkSummary> = {
  fetch: (client) => client.networks(),
  empty: "There is no network: services bring theirs with them.",
  columns: () => [
    { title: "NAME", cell: (network) => network.name },
    { title: "INTERNAL", cell: (network) => (network.internal ? "yes" : "no") },
    { title: "STACKS", cell: (network) => network.stacks.join(",") },
    { title: "SERVICES", cell: (network) => String(network.services) },
    { title: "READY", cell: (network) => `${network.ready}/${network.tasks}` },
  ],
};

export function networkCommand(context: Context): Command {
  return newCommand({
    name: "network",
    description: "Shows the networks in which tasks reach each other.",
    examples: ["orchd network ls", "orchd network inspect shop_default"],
  })
    .helpCommand(false)
    .addCommand(
      newRemoteCommand({
        name: "ls",
        description: "Lists networks, with the stacks and services that are in them.",
        examples: ["orchd network ls", "orchd network ls --json"],
      })
        .name("ls")
        .option(...WATCH_FLAG)
        .action(async (options: ListOptions) => {
          context.exitCode = await showList(context, listing, options);
        }),
    )
    .addCommand(inspectCommand(context));
}

function inspectCommand(context: Context): Command {
  return newRemoteCommand({
    name: "inspect",
    description: "Shows a network: services, their names and virtual addresses, and their tasks.",
    examples: ["orchd network inspect shop_default"],
  })
    .name("inspect")
    .argument("<network...>", "a network's name")
    .action(async (names: string[], options: RemoteOptions) => {
      const client = await connect(context, options);
      const networks: NetworkInspection[] = [];
      for (const name of names) networks.push(await client.network(name));
      if (options.json === true) return printJson(context.io, networks);
      const paint = paintFor(context.io);
      for (const [i, network] of networks.entries()) {
        const gap = i === 0 ? [] : [""];
        await printLines(context.io, [...gap, ...formatNetwork(network, paint)]);
      }
    });
}

function formatNetwork(network: NetworkInspection, paint: Paint): string[] {
  const { name, internal, services, tasks, ready, members } = network;
  const kind = internal ? "internal network" : "network";
  const head = `${plural(services, "service")}, ${ready} of ${plural(tasks, "task")} ready`;
  const lines = [`${paint("bold", cleanText(`${kind} ${name}`))}: ${head}`];
  for (const member of members) {
    const { stack, service, aliases, endpointMode, endpoints } = member;
    const also = aliases.length === 0 ? "" : `, also ${aliases.join(", ")}`;
    const virtual = [member.virtualIp ?? "no address yet", member.virtualIp6 ?? []].flat();
    const where = endpointMode === "dnsrr" ? "addresses of its tasks" : virtual.join(", ");
    lines.push("", cleanText(`${stack}/${service}${also}: ${where}`));
    lines.push(...(endpoints.length === 0 ? ["  no task"] : endpointLines(endpoints, paint)));
  }
  return lines;
}

const INET6_COLUMN = {
  title: "IPV6 ADDRESS",
  cell: (row: EndpointSummary) => row.address6 ?? "-",
};

function endpointLines(endpoints: readonly EndpointSummary[], paint: Paint): string[] {
  const table = formatTable(
    [
      { title: "TASK", cell: (row) => row.task },
      { title: "ADDRESS", cell: (row) => row.address ?? "-" },
      ...(endpoints.some(({ address6 }) => address6 !== undefined) ? [INET6_COLUMN] : []),
      { title: "NODE", cell: (row) => row.node ?? "-" },
      {
        title: "READY",
        cell: (row) => (row.ready ? "yes" : "no"),
        color: (row) => (row.ready ? "green" : "yellow"),
      },
      { title: "REASON", cell: (row) => row.reason },
    ],
    endpoints,
    paint,
  );
  return table.map((line) => `  ${line}`);
}
