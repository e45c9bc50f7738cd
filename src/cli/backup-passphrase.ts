import { readFileSync } from "node:fs";
import { OrchdError } from "../lib/errors.ts";
import { pathFrom, usageError } from "./context.ts";
import type { Io } from "./io.ts";

/** Where a passphrase comes from that no option names. */
export const PASSPHRASE_VARIABLE = "ORCHD_BACKUP_PASSPHRASE";

/**
 * The passphrase of backups: the first line of a file, or the environment; undefined for none. On
 * the command line it would show in process lists.
 */
export function readBackupPassphrase(io: Io, file: string | undefined): string | undefined {
  if (file === undefined) return io.env[PASSPHRASE_VARIABLE] || undefined;
  let text: string;
  try {
    text = readFileSync(pathFrom(io, file), "utf8");
  } catch (cause) {
    throw new OrchdError("invalid", `the passphrase can't be read from ${file}`, { cause });
  }
  const [line = ""] = text.split(/\r?\n/);
  if (line === "") throw usageError(`the first line of ${file} is empty: write a passphrase there`);
  return line;
}
