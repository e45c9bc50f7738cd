import type { Command } from "commander";
import { formatBytes, formatDuration } from "../../lib/text.ts";
import type { ClusterBackupStatus } from "../../model/cluster-backup.ts";
import { saveArchive } from "../archives/save-archive.ts";
import { connect, newRemoteCommand, printJson, printLines } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";
import { PASSPHRASE_VARIABLE, readBackupPassphrase } from "../backup-passphrase.ts";

interface BackupFlags extends RemoteOptions {
  passphraseFile?: string;
  status?: boolean;
}

export function backupCommand(context: Context): Command {
  return newRemoteCommand({
    name: "backup",
    description:
      "Saves the state of the cluster while it runs: stacks, nodes, tokens, and the keys by " +
      "which nodes know their server. What volumes hold is not in it: see `orchd volume backup`.",
    examples: [
      "orchd backup cluster.tar",
      "orchd backup --passphrase-file secret.txt cluster.tar",
      "orchd backup --status",
    ],
  })
    .argument("[file]", "where to, or - for standard output")
    .option(
      "--passphrase-file <file>",
      `seal it with the first line of the file (or with ${PASSPHRASE_VARIABLE})`,
    )
    .option("--status", "tell how the server's own backups go, and make none")
    .action(async (file: string | undefined, options: BackupFlags) => {
      if (options.status === true) return showStatus(context, options);
      if (file === undefined) throw usageError("name a file to save the backup in, or -");
      await backUp(context, file, options);
    });
}

async function backUp(context: Context, file: string, options: BackupFlags): Promise<void> {
  const { io } = context;
  const passphrase = readBackupPassphrase(io, options.passphraseFile);
  const client = await connect(context, options);
  const stop = new AbortController();
  let size = 0;
  const stream = client.backUpCluster(passphrase, stop.signal);
  const { sha256 } = await saveArchive(io, file, stream, (bytes) => void (size += bytes));
  if (options.json === true) {
    if (file !== "-") await printJson(io, { file, bytes: size, sha256, sealed: !!passphrase });
    return;
  }
  await io.stderr.write(cleanText(`the cluster is saved in ${file}, ${formatBytes(size)}`) + "\n");
  if (passphrase !== undefined) return;
  await io.stderr.write(
    "It holds the cluster's private key and gossip keys in the clear: whoever has it can be the " +
      "cluster's server. Secrets stay sealed in it, and what opens them (vault.key beside the " +
      "state, or your passphrase) is not in it. Keep both safe, or seal all of it with " +
      "--passphrase-file.\n",
  );
}

async function showStatus(context: Context, options: BackupFlags): Promise<void> {
  const { io } = context;
  const client = await connect(context, options);
  const status = await client.clusterBackupStatus();
  if (options.json === true) return printJson(io, status);
  await printLines(io, statusLines(io, status).map(cleanText));
}

function statusLines(io: Io, { schedule, last, failure }: ClusterBackupStatus): string[] {
  const now = io.clock.now();
  const lines: string[] = [];
  if (schedule === undefined)
    lines.push("The server makes no backups by itself: see --backup-dir.");
  else {
    const { directory, everyMs, keep, sealed, nextAt } = schedule;
    const how = sealed ? "sealed" : "in the clear";
    lines.push(
      `Every ${formatDuration(everyMs)} to ${directory}, ${how}; the latest ${keep} are kept.`,
      `The next one is due in ${formatDuration(Math.max(0, nextAt - now))}.`,
    );
  }
  const where = last?.path === undefined ? "" : ` in ${last.path}`;
  lines.push(
    last === undefined
      ? "None was made yet."
      : `The latest good one is ${formatDuration(now - last.at)} old${where}.`,
  );
  if (failure !== undefined) {
    lines.push(`The latest try failed ${formatDuration(now - failure.at)} ago: ${failure.message}`);
  }
  return lines;
}
