import type { Command } from "commander";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { MemberReader } from "../../core/archive/member-reader.ts";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { formatBytes, plural } from "../../lib/text.ts";
import type { LoadedImages } from "../../model/image.ts";
import { ByteProgress } from "../archives/byte-progress.ts";
import { packFolder } from "../archives/pack-folder.ts";
import { archiveFromStdin, watched } from "../archives/read-archive.ts";
import { type ArchiveCheck, saveChecked } from "../archives/save-archive.ts";
import { connect, newRemoteCommand, pathFrom, printJson } from "../context.ts";
import { printLines, usageError, type Context, type RemoteOptions } from "../context.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";

const LIMITS = { membersMax: 100_000, bytesMax: Number.MAX_SAFE_INTEGER };

export function loadImageCommand(context: Context): Command {
  return newRemoteCommand({
    name: "load",
    description:
      "Keeps the images of an archive at the site, and has every node get them: what docker save " +
      "and podman save make, OCI archives, also compressed by gzip, and folders of OCI layouts.",
    examples: ["orchd image load web.tar", "podman save web:1 | orchd image load -"],
  })
    .name("load")
    .argument("<file>", "an archive, the folder of an OCI layout, or - for standard input")
    .action((file: string, options: RemoteOptions) => loadImage(context, file, options));
}

async function loadImage(context: Context, file: string, options: RemoteOptions): Promise<void> {
  const { io } = context;
  const progress = new ByteProgress(io, "loading");
  const archive = file === "-" ? archiveFromStdin(io) : archiveIn(io, file);
  const client = await connect(context, options);
  let loaded: LoadedImages;
  try {
    loaded = await client.loadImage(watched(archive, progress));
  } finally {
    await progress.end();
  }
  await showLoaded(io, loaded, options);
}

export function pullImageCommand(context: Context): Command {
  return newRemoteCommand({
    name: "pull",
    description: "Has nodes get images that the site keeps, before a task there needs them.",
    examples: ["orchd image pull web:2", "orchd image pull web:2 --on zone=hall"],
  })
    .name("pull")
    .argument("<image...>", "its name, or several")
    .option(
      "--on <label>",
      "only nodes with this label, as zone=hall; may be repeated",
      withLabel,
      {},
    )
    .action(async (names: string[], options: RemoteOptions & { on: Record<string, string> }) => {
      const client = await connect(context, options);
      const fetched = await client.fetchImages(names, options.on);
      await showLoaded(context.io, fetched, options);
      if (fetched.nodes.length > 0) return;
      await context.io.stderr.write("No connected node has all these labels.\n");
    });
}

function withLabel(text: string, labels: Record<string, string>): Record<string, string> {
  const [key = "", ...value] = text.split("=");
  if (key === "" || value.length === 0) throw usageError(`--on ${text}: write it like zone=hall`);
  return { ...labels, [key]: value.join("=") };
}

export async function showLoaded(
  io: Io,
  loaded: LoadedImages,
  options: RemoteOptions,
): Promise<void> {
  if (options.json === true) return printJson(io, loaded);
  const { references, nodes } = loaded;
  const lines = nodes.flatMap(({ node, references: had }) =>
    had.map((reference) => cleanText(`${reference} is loaded on ${node}`)),
  );
  const kept = references.map((reference) => cleanText(`${reference} is kept at the site`));
  await printLines(io, lines.length === 0 ? kept : lines);
  for (const { node, problem } of nodes) {
    if (problem === undefined) continue;
    const when = "it tries again when a task there needs it";
    await io.stderr.write(cleanText(`${node} does not have all of it, ${when}: ${problem}`) + "\n");
  }
}

function archiveIn(io: Io, file: string): ReadableStream<Uint8Array> {
  const path = pathFrom(io, file);
  let found;
  try {
    found = statSync(path);
  } catch (error) {
    const why = systemCodeOf(error) === "ENOENT" ? "there is no such file" : "it can't be read";
    throw new OrchdError("invalid", `can't load ${file}: ${why}`, { cause: error });
  }
  if (found.isFile()) return Bun.file(path).stream();
  if (existsSync(join(path, "oci-layout"))) return packFolder(path);
  throw new OrchdError(
    "invalid",
    `can't load ${file}: it is neither a file nor the folder of an OCI layout`,
  );
}

export function saveImageCommand(context: Context): Command {
  return newRemoteCommand({
    name: "save",
    description:
      "Saves images that the site keeps in an OCI archive, which podman load, docker load and " +
      "orchd image load take.",
    examples: [
      "orchd image save web:1 web.tar",
      "orchd image save web:1 db:2 - | ssh h2 podman load",
    ],
  })
    .name("save")
    .argument("<image...>", "its name, or several, and last the file: - is standard output")
    .action((words: string[], options: RemoteOptions) => saveImage(context, words, options));
}

async function saveImage(
  context: Context,
  words: readonly string[],
  options: RemoteOptions,
): Promise<void> {
  const { io } = context;
  const [names, file] = [words.slice(0, -1), words.at(-1) ?? ""];
  if (names.length === 0) throw usageError("name an image, and behind it the file to save it in");
  const client = await connect(context, options);
  const progress = new ByteProgress(io, "saving");
  const stop = new AbortController();
  const end = io.onInterrupt(() => stop.abort());
  let bytes: number;
  try {
    const stream = client.saveImages(names, stop.signal);
    const onBytes = (count: number) => progress.add(count);
    bytes = await saveChecked(io, file, { stream, check: wholeTar(), onBytes });
  } finally {
    end();
    await progress.end();
  }
  if (options.json === true) {
    if (file !== "-") await printJson(io, { images: names, file, bytes });
    return;
  }
  const what = `${plural(names.length, "image")}, ${formatBytes(bytes)}`;
  await io.stderr.write(cleanText(`saved in ${file}: ${what}`) + "\n");
}

/** Whether a tar archive that passes by has its end; answers its size. */
function wholeTar(): ArchiveCheck<number> {
  const reader = new MemberReader(LIMITS);
  let bytes = 0;
  let isSound = true;
  return {
    push(piece) {
      bytes += piece.length;
      for (const { type } of reader.push(piece)) if (type === "problem") isSound = false;
    },
    finish: () => (isSound && reader.finish() === undefined ? bytes : undefined),
  };
}
