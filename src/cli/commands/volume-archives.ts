import type { Command } from "commander";
import { statSync } from "node:fs";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { formatBytes, plural } from "../../lib/text.ts";
import type { Consistency } from "../../model/volume.ts";
import { ByteProgress } from "../archives/byte-progress.ts";
import { archiveFromStdin, watched } from "../archives/read-archive.ts";
import { saveArchive } from "../archives/save-archive.ts";
import { volumeArchive } from "../archives/volume-archive.ts";
import { connect, newRemoteCommand, pathFrom, printJson } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";

interface BackupFlags extends RemoteOptions {
  node?: string;
  stop?: boolean;
  freeze?: boolean;
  live?: boolean;
}

interface RestoreFlags extends RemoteOptions {
  node?: string;
  stop?: boolean;
}

export function backupVolumeCommand(context: Context): Command {
  return newRemoteCommand({
    name: "backup",
    description:
      "Saves the files of a volume in a tar archive with a checksum. Tasks that use it are " +
      "frozen meanwhile, which leaves the files as a power cut would; --stop ends and starts them.",
    examples: [
      "orchd volume backup shop_data data.tar",
      "orchd volume backup shop_data data.tar --stop",
      "orchd volume backup shop_data - | ssh backup 'cat > data.tar'",
    ],
  })
    .name("backup")
    .argument("<volume>", "its name")
    .argument("<file>", "where to, or - for standard output")
    .option("--stop", "stop the tasks that use it, and start them again")
    .option("--freeze", "freeze the tasks that use it, which is what is done where nothing is said")
    .option("--live", "let the tasks go on: files that change meanwhile may be torn")
    .option("--node <node>", "from this node, where several have one of that name")
    .action((name: string, file: string, options: BackupFlags) =>
      backUp(context, name, file, options),
    );
}

async function backUp(
  context: Context,
  name: string,
  file: string,
  options: BackupFlags,
): Promise<void> {
  const { io } = context;
  const how = howOf(options);
  const client = await connect(context, options);
  const progress = new ByteProgress(io, `reading ${name}`);
  const stop = new AbortController();
  const end = io.onInterrupt(() => stop.abort());
  try {
    const stream = volumeArchive(
      client.volumeFiles,
      { name, node: options.node, how },
      stop.signal,
    );
    const contents = await saveArchive(io, file, stream, (bytes) => progress.add(bytes));
    await progress.end();
    if (options.json === true) {
      if (file !== "-") await printJson(io, { volume: name, file, ...contents });
      return;
    }
    const { entries, bytes, changed, skipped, sha256 } = contents;
    const what = `${plural(entries, "entry", "entries")}, ${formatBytes(bytes)}`;
    await io.stderr.write(cleanText(`${name} is saved in ${file}: ${what}, ${sha256}`) + "\n");
    if (changed > 0) {
      const files = `${plural(changed, "file")} changed meanwhile`;
      await io.stderr.write(`${files}: leave out --live for an archive of one moment.\n`);
    }
    if (skipped > 0) {
      await io.stderr.write(`${plural(skipped, "socket, device or mount")} left out.\n`);
    }
  } finally {
    end();
    await progress.end();
  }
}

function howOf({ stop, freeze, live }: BackupFlags): Consistency {
  const asked = [stop, freeze, live].filter((flag) => flag === true);
  if (asked.length > 1) throw usageError("only one of --stop, --freeze and --live can be given");
  if (stop === true) return "stop";
  return live === true ? "live" : "freeze";
}

export function restoreVolumeCommand(context: Context): Command {
  return newRemoteCommand({
    name: "restore",
    description:
      "Puts what an archive holds in the place of what a volume has. An archive that is not " +
      "whole changes nothing.",
    examples: [
      "orchd volume restore shop_data data.tar --stop",
      "orchd volume restore shop_data data.tar --node h2",
    ],
  })
    .name("restore")
    .argument("<volume>", "its name")
    .argument("<file>", "what `orchd volume backup` saved, or - for standard input")
    .option("--stop", "stop the tasks that use it, and start them again")
    .option("--node <node>", "on this node: needed where none has it yet, or several have")
    .action((name: string, file: string, options: RestoreFlags) =>
      restore(context, name, file, options),
    );
}

async function restore(
  context: Context,
  name: string,
  file: string,
  options: RestoreFlags,
): Promise<void> {
  const { io } = context;
  const progress = new ByteProgress(io, `writing ${name}`);
  const archive = watched(file === "-" ? archiveFromStdin(io) : archiveIn(io, file), progress);
  const client = await connect(context, options);
  try {
    const asked = { node: options.node, stop: options.stop === true };
    const contents = await client.volumeFiles.write(name, archive, asked);
    await progress.end();
    if (options.json === true) {
      await printJson(io, { volume: name, ...contents });
      return;
    }
    const { entries, bytes } = contents;
    const what = `${plural(entries, "entry", "entries")}, ${formatBytes(bytes)}`;
    await io.stderr.write(cleanText(`${name} has what the archive holds: ${what}`) + "\n");
  } finally {
    await progress.end();
  }
}

function archiveIn(io: Io, file: string): ReadableStream<Uint8Array> {
  const path = pathFrom(io, file);
  try {
    if (statSync(path).isFile()) return Bun.file(path).stream();
  } catch (error) {
    const why = systemCodeOf(error) === "ENOENT" ? "there is no such file" : "it can't be read";
    throw new OrchdError("invalid", `can't restore from ${file}: ${why}`, { cause: error });
  }
  throw new OrchdError("invalid", `can't restore from ${file}: it is not a file`);
}
