import { InvalidArgumentError, Option } from "commander";
import { readBackupPassphrase } from "./backup-passphrase.ts";
import { parseCount, pathFrom, timeArgument } from "./context.ts";
import type { ServerOptions } from "./program.ts";
import type { Io } from "./io.ts";

/** Options of `orchd server` for backups that it makes by itself. */
export interface BackupFlags {
  backupDir?: string;
  backupEvery: number;
  backupKeep: number;
  backupPassphraseFile?: string;
}

const EVERY_MS = 86_400_000;
const EVERY_MIN_MS = 60_000;
const KEPT = 7;

export function backupOptions(): Option[] {
  return [
    new Option(
      "--backup-dir <dir>",
      "make backups of the cluster's state there, see `orchd backup`",
    ),
    new Option("--backup-every <time>", "how often").default(EVERY_MS, "24h").argParser(parseEvery),
    new Option("--backup-keep <count>", "how many of them are kept")
      .default(KEPT)
      .argParser(parseKeep),
    new Option("--backup-passphrase-file <file>", "seal them with what the file says"),
  ];
}

export function backupsFrom(io: Io, given: BackupFlags): Pick<ServerOptions, "backups"> {
  const { backupDir, backupEvery: everyMs, backupKeep: keep, backupPassphraseFile } = given;
  const passphrase = readBackupPassphrase(io, backupPassphraseFile);
  if (backupDir === undefined) return {};
  const directory = pathFrom(io, backupDir);
  const sealing = passphrase === undefined ? {} : { passphrase };
  return { backups: { directory, everyMs, keep, ...sealing } };
}

function parseEvery(text: string): number {
  const ms = timeArgument(text);
  if (ms >= EVERY_MIN_MS) return ms;
  throw new InvalidArgumentError("It must be a minute or longer.");
}

function parseKeep(text: string): number {
  const count = parseCount(text);
  if (count > 0) return count;
  throw new InvalidArgumentError("It must be 1 or more.");
}
