import type { Command } from "commander";
import { formatBytes, formatDuration } from "../../lib/text.ts";
import { formatLink } from "../../model/link.ts";
import type { NodeInspection, TaskSummary } from "../../model/summary.ts";
import { connect, newRemoteCommand, printJson, printLines } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor, type Paint } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

export function inspectCommand(context: Context): Command {
  return newRemoteCommand({
    name: "inspect",
    description: "Shows a node: its health and why, its labels, and the tasks that it holds.",
    examples: ["orchd node inspect h2", "orchd node inspect h2 --json"],
  })
    .name("inspect")
    .argument("<node...>", "a node's host name or id")
    .action(async (names: string[], options: RemoteOptions) => {
      const client = await connect(context, options);
      const nodes: NodeInspection[] = [];
      for (const name of names) nodes.push(await client.node(name));
      if (options.json === true) return printJson(context.io, nodes);
      const now = context.io.clock.now();
      const paint = paintFor(context.io);
      for (const [i, node] of nodes.entries()) {
        const gap = i === 0 ? [] : [""];
        await printLines(context.io, [...gap, ...formatNode(node, now, paint)]);
      }
    });
}

/** @param now milliseconds since 1970 */
function formatNode(node: NodeInspection, now: number, paint: Paint): string[] {
  const { reserved, resources, platform, runtime, labels } = node;
  const roles = [node.roles.server ? "server" : "", node.roles.agent ? "agent" : ""];
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const facts: [label: string, value: string][] = [
    ["id", node.id],
    ["health", `${node.health} for ${formatDuration(now - node.since)}: ${node.reason}`],
    ["availability", node.availability],
    ["roles", roles.filter(Boolean).join(", ")],
    ["labels", pairs.length === 0 ? "none" : pairs.sort().join(", ")],
    ["address", node.address],
    ...(node.link === undefined ? [] : [["link", formatLink(node.link)] as [string, string]]),
    ["platform", `${platform.os}/${platform.arch}`],
    ["runtime", `${runtime.name} ${runtime.version}`],
    ["orchd", node.orchdVersion],
    ["cores reserved", `${reserved.cpuMillis / 1000} of ${resources.cpuMillis / 1000}`],
    [
      "memory reserved",
      `${formatBytes(reserved.memoryBytes)} of ${formatBytes(resources.memoryBytes)}`,
    ],
    ...Object.entries(node.generic ?? {}).map(([kind, count]): [string, string] => [
      `resource ${kind}`,
      `${reserved.generic?.[kind] ?? 0} of ${count} reserved`,
    ]),
    ...(node.devices ?? []).map((device): [string, string] => [
      device.kind,
      `${device.id} (${device.path})${device.exclusive ? ", for one task at a time" : ""}`,
    ]),
    ["age", formatDuration(now - node.createdAt)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  const lines = facts.map(([label, value]) => `${label.padEnd(width)}  ${cleanText(value)}`);
  const tasks = node.holds.length === 0 ? [] : ["", ...taskLines(node.holds, paint)];
  return [paint("bold", cleanText(`node ${node.hostname}`)), ...lines, ...tasks];
}

function taskLines(tasks: readonly TaskSummary[], paint: Paint): string[] {
  return formatTable(
    [
      { title: "TASK", cell: (task) => task.name },
      { title: "WANTED", cell: (task) => task.desired },
      { title: "STATE", cell: (task) => task.state },
      { title: "REASON", cell: (task) => task.message },
    ],
    tasks,
    paint,
  );
}
