import type { Command } from "commander";
import { formatBytes, formatDuration, plural } from "../../lib/text.ts";
import type { VolumeSummary } from "../../model/volume.ts";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import { showList, type Listing, type ListOptions } from "../list.ts";
import { cleanText } from "../output/clean.ts";
import { backupVolumeCommand, restoreVolumeCommand } from "./volume-archives.ts";
import { moveVolumeCommand } from "./volume-move.ts";

interface NodeOption extends RemoteOptions {
  node?: string;
}

export function volumeCommand(context: Context): Command {
  return newCommand({
    name: "volume",
    description: "Lists, inspects, removes, saves, puts back and moves volumes.",
    examples: [
      "orchd volume ls",
      "orchd volume backup shop_data data.tar",
      "orchd volume restore shop_data data.tar --stop",
      "orchd volume move shop_data h2",
    ],
  })
    .helpCommand(false)
    .addCommand(listCommand(context))
    .addCommand(inspectCommand(context))
    .addCommand(removeCommand(context))
    .addCommand(backupVolumeCommand(context))
    .addCommand(restoreVolumeCommand(context))
    .addCommand(moveVolumeCommand(context));
}

function listCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists the volumes of all nodes, with what they take on the disk now.",
    examples: ["orchd volume ls", "orchd volume ls --no-size"],
  })
    .name("ls")
    .option("--no-size", "measure nothing, which is quicker")
    .action(async (options: ListOptions & { size: boolean }) => {
      context.exitCode = await showList(context, listingOf(options.size), options);
    });
}

function listingOf(sizes: boolean): Listing<VolumeSummary> {
  return {
    fetch: (client) => client.volumes({ sizes }),
    empty: "There is no volume: stacks make theirs when they start.",
    columns: () => [
      { title: "NAME", cell: (volume) => volume.name },
      { title: "NODE", cell: (volume) => volume.node },
      { title: "STACK", cell: (volume) => volume.stack ?? "-" },
      { title: "DRIVER", cell: (volume) => volume.driver },
      ...(sizes ? [{ title: "SIZE", cell: sizeOf }] : []),
      { title: "USED BY", cell: (volume) => volume.usedBy.join(", ") || "-" },
    ],
  };
}

function sizeOf({ sizeBytes, isReached }: VolumeSummary): string {
  if (!isReached) return "not connected";
  return sizeBytes === undefined ? "?" : formatBytes(sizeBytes);
}

function inspectCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "inspect",
    description: "Shows a volume on each node that has one of this name.",
    examples: ["orchd volume inspect shop_data"],
  })
    .name("inspect")
    .argument("<volume>", "its name")
    .action(async (name: string, options: RemoteOptions) => {
      const client = await connect(context, options);
      const found = await client.volume(name);
      if (options.json === true) return printJson(io, found);
      const now = io.clock.now();
      const lines = found.flatMap((volume, i) => [...(i > 0 ? [""] : []), ...linesOf(volume, now)]);
      await printLines(io, lines.map(cleanText));
    });
}

function linesOf(volume: VolumeSummary, now: number): string[] {
  const { name, node, stack, driver, labels, createdAt = 0, usedBy, files, problem } = volume;
  const told = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return [
    `${name} on ${node}`,
    `  stack:    ${stack ?? "none uses it"}`,
    `  driver:   ${driver}`,
    `  size:     ${sizeOf(volume)}${files === undefined ? "" : `, ${plural(files, "file")}`}`,
    ...(createdAt === 0 ? [] : [`  age:      ${formatDuration(now - createdAt)}`]),
    `  used by:  ${usedBy.join(", ") || "no task"}`,
    `  made by:  ${volume.isOurs ? "orchd" : "somebody else"}`,
    ...(told.length === 0 ? [] : [`  labels:   ${told.join(", ")}`]),
    ...(problem === undefined ? [] : [`  problem:  ${problem}`]),
  ];
}

function removeCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "rm",
    description: "Removes volumes that no task uses, with all that is in them.",
    examples: ["orchd volume rm shop_data", "orchd volume rm shop_data --node h2"],
  })
    .name("rm")
    .argument("<volume...>", "their names")
    .option("--node <node>", "from this node, where several have one of that name")
    .action(async (names: string[], options: NodeOption) => {
      if (names.length === 0) throw usageError("name a volume");
      const client = await connect(context, options);
      for (const name of names) {
        await client.removeVolume(name, options.node);
        if (options.json !== true) await io.stderr.write(`${cleanText(name)} is removed\n`);
      }
      if (options.json === true) await printJson(io, { removed: names });
    });
}
