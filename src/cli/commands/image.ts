import type { Command } from "commander";
import type { NodeImages } from "../../api/client.ts";
import { formatImageReference, parseImageReference } from "../../core/oci/reference.ts";
import { formatBytes, formatDuration } from "../../lib/text.ts";
import type { Freed, KeptImage } from "../../model/image.ts";
import { connect, newCommand, newRemoteCommand, printJson } from "../context.ts";
import { printLines, type Context, type RemoteOptions } from "../context.ts";
import { showList, type Listing, type ListOptions } from "../list.ts";
import { cleanText } from "../output/clean.ts";
import { copyImageCommand } from "./image-copy.ts";
import { loadImageCommand, pullImageCommand, saveImageCommand } from "./image-archives.ts";

interface NodeImage {
  node: string;
  reference: string;
  id: string;
  sizeBytes: number;
  createdAt: number;
}

export function imageCommand(context: Context): Command {
  return newCommand({
    name: "image",
    description: "Loads, lists, saves and removes images that the site keeps for its nodes.",
    examples: [
      "orchd image load web.tar",
      "orchd image ls",
      "orchd image save web:1 web.tar",
      "orchd image rm web:1",
    ],
  })
    .helpCommand(false)
    .addCommand(loadImageCommand(context))
    .addCommand(copyImageCommand(context))
    .addCommand(pullImageCommand(context))
    .addCommand(saveImageCommand(context))
    .addCommand(listCommand(context))
    .addCommand(whereCommand(context))
    .addCommand(removeCommand(context))
    .addCommand(pruneCommand(context));
}

function listCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists the images that the site keeps; with --nodes those on each node.",
    examples: ["orchd image ls", "orchd image ls --nodes"],
  })
    .name("ls")
    .option("--nodes", "what the runtime of each connected node has")
    .action(async (options: ListOptions & { nodes?: boolean }) => {
      context.exitCode =
        options.nodes === true
          ? await listOnNodes(context, options)
          : await showList(context, KEPT, options);
    });
}

const KEPT: Listing<KeptImage> = {
  fetch: (client) => client.keptImages(),
  empty: "The site keeps no image: bring one with `orchd image load FILE`.",
  columns: (now) => [
    { title: "IMAGE", cell: ({ reference }) => reference },
    { title: "DIGEST", cell: ({ digest }) => shortId(digest) },
    { title: "SIZE", cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
    { title: "FOR", cell: ({ platforms }) => platforms.join(", ") || "-" },
    { title: "AGE", cell: ({ at }) => formatDuration(now - at) },
  ],
};

async function listOnNodes(context: Context, options: ListOptions): Promise<number> {
  if (options.json === true) {
    await printJson(context.io, await (await connect(context, options)).images());
    return 0;
  }
  return showList(
    context,
    nodeListing(() => true),
    options,
  );
}

function whereCommand(context: Context): Command {
  return newRemoteCommand({
    name: "where",
    description: "Lists the nodes whose runtime has an image.",
    examples: ["orchd image where web:1"],
  })
    .name("where")
    .argument("<image>", "its name")
    .action(async (name: string, options: ListOptions) => {
      const isMeant = meaning(name);
      context.exitCode = await showList(context, nodeListing(isMeant), options);
    });
}

function nodeListing(isMeant: (reference: string) => boolean): Listing<NodeImage> {
  return {
    fetch: async (client) => {
      const rows = (await client.images()).flatMap(rowsOf);
      return rows.filter(({ reference }) => isMeant(reference));
    },
    empty: "No connected node has it.",
    columns: (now) => [
      { title: "NODE", cell: ({ node }) => node },
      { title: "IMAGE", cell: ({ reference }) => reference },
      { title: "ID", cell: ({ id }) => shortId(id) },
      { title: "SIZE", cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
      { title: "AGE", cell: ({ createdAt }) => formatDuration(now - createdAt) },
    ],
  };
}

/** `web` means `docker.io/library/web:latest`, however it is spelt. */
function meaning(name: string): (reference: string) => boolean {
  const wanted = fullName(name);
  return (reference) => reference === name || fullName(reference) === wanted;
}

function fullName(name: string): string {
  const parsed = parseImageReference(name);
  return parsed.ok ? formatImageReference(parsed.value) : name;
}

function rowsOf({ node, images }: NodeImages): NodeImage[] {
  return images.flatMap(({ id, references, sizeBytes, createdAt }) => {
    const names = references.length === 0 ? ["<none>"] : references;
    return names.map((reference) => ({ node, reference, id, sizeBytes, createdAt }));
  });
}

function removeCommand(context: Context): Command {
  return newRemoteCommand({
    name: "rm",
    description:
      "Forgets names of images that the site keeps, and what nothing else needs of them. What " +
      "runs goes on, and nodes keep what they have.",
    examples: ["orchd image rm web:1", "orchd image rm web:1 --force"],
  })
    .name("rm")
    .argument("<image...>", "its name, or several")
    .option("--force", "also when a service may still need it")
    .action((names: string[], options: RemoteOptions & { force?: boolean }) =>
      removeImages(context, names, options),
    );
}

async function removeImages(
  context: Context,
  names: readonly string[],
  options: RemoteOptions & { force?: boolean },
): Promise<void> {
  const { io } = context;
  const client = await connect(context, options);
  const force = options.force === true;
  const removed: (Freed & { image: string })[] = [];
  for (const image of names) {
    const { freedBytes } = await client.removeImage(image, { force });
    removed.push({ image, freedBytes });
    if (options.json === true) continue;
    await printLines(io, [cleanText(`${image} is removed: ${formatBytes(freedBytes)} are free`)]);
  }
  if (options.json === true) await printJson(io, removed);
}

function pruneCommand(context: Context): Command {
  return newRemoteCommand({
    name: "prune",
    description:
      "Removes what no name of an image and no revision of a service needs any more. Images with " +
      "a name stay.",
    examples: ["orchd image prune"],
  })
    .name("prune")
    .action(async (options: RemoteOptions) => {
      const freed = await (await connect(context, options)).pruneImages();
      if (options.json === true) return printJson(context.io, freed);
      await printLines(context.io, [`${formatBytes(freed.freedBytes)} are free`]);
    });
}

/** As much of a digest as tells images apart. */
function shortId(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}
