import type { Command } from "commander";
import { statSync } from "node:fs";
import type { NodeImages } from "../../api/client.ts";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { formatBytes, formatDuration } from "../../lib/text.ts";
import { connect, newCommand, newRemoteCommand, pathFrom, printJson } from "../context.ts";
import { printLines, usageError, type Context, type RemoteOptions } from "../context.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

export function imageCommand(context: Context): Command {
  const load = newRemoteCommand({
    name: "load",
    description: "Puts the images of an archive (docker save, podman save, OCI) on every node.",
    examples: ["orchd image load web.tar", "podman save web:1 | orchd image load -"],
  })
    .name("load")
    .argument("<file>", "an archive, or - for standard input")
    .action((file: string, options: RemoteOptions) => loadImage(context, file, options));
  const list = newRemoteCommand({
    name: "ls",
    description: "Lists the images on each node.",
    examples: ["orchd image ls"],
  })
    .name("ls")
    .action((options: RemoteOptions) => listImages(context, options));
  return newCommand({
    name: "image",
    description: "Loads and lists images.",
    examples: ["orchd image load web.tar", "orchd image ls"],
  })
    .helpCommand(false)
    .addCommand(load)
    .addCommand(list);
}

async function loadImage(context: Context, file: string, options: RemoteOptions): Promise<void> {
  const { io } = context;
  const archive = file === "-" ? archiveFromStdin(io) : archiveIn(io, file);
  const client = await connect(context, options);
  const loaded = await client.loadImage(archive);
  if (options.json === true) return printJson(io, loaded);
  const lines = loaded.flatMap(({ node, references }) =>
    references.map((reference) => cleanText(`${reference} is loaded on ${node}`)),
  );
  await printLines(io, lines);
}

function archiveFromStdin(io: Io): ReadableStream<Uint8Array> {
  if (!io.stdin.isTerminal) return io.stdin.read();
  throw usageError("standard input is a terminal: pipe an archive into it, or name a file");
}

function archiveIn(io: Io, file: string): Blob {
  const path = pathFrom(io, file);
  try {
    if (statSync(path).isFile()) return Bun.file(path);
  } catch (error) {
    const why = systemCodeOf(error) === "ENOENT" ? "there is no such file" : "it can't be read";
    throw new OrchdError("invalid", `can't load ${file}: ${why}`, { cause: error });
  }
  throw new OrchdError("invalid", `can't load ${file}: it is not a file; pipe it in and name -`);
}

async function listImages(context: Context, options: RemoteOptions): Promise<void> {
  const { io } = context;
  const client = await connect(context, options);
  const nodes = await client.images();
  if (options.json === true) return printJson(io, nodes);
  const rows = nodes.flatMap(rowsOf);
  if (rows.length === 0) {
    await io.stderr.write("There is no image: put some there with `orchd image load FILE`.\n");
    return;
  }
  const now = io.clock.now();
  const table = formatTable(
    [
      { title: "NODE", cell: (row) => row.node },
      { title: "IMAGE", cell: (row) => row.reference },
      { title: "ID", cell: (row) => row.id },
      { title: "SIZE", cell: (row) => formatBytes(row.sizeBytes) },
      { title: "AGE", cell: (row) => formatDuration(now - row.createdAt) },
    ],
    rows,
    paintFor(io),
  );
  await printLines(io, table);
}

function rowsOf({ node, images }: NodeImages) {
  return images.flatMap(({ id: digest, references, sizeBytes, createdAt }) => {
    const id = digest.replace(/^sha256:/, "").slice(0, 12);
    const names = references.length === 0 ? ["<none>"] : references;
    return names.map((reference) => ({ node, reference, id, sizeBytes, createdAt }));
  });
}
