import { statSync } from "node:fs";
import { dirname } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

/** One of orchd's own database files, as messages name it. */
export interface DatabaseFile {
  path: string;
  owner: "server" | "agent";
}

/** What begins when the file is moved away: nothing is ever repaired by overwriting it. */
const FRESH_START = {
  server: "to start with an empty cluster",
  agent: "to join the cluster again as a new node",
};

/** @param where what is wrong with the file, as the end of `… is damaged` */
export function damagedError(file: DatabaseFile, where: string, cause?: unknown): OrchdError {
  const fresh = FRESH_START[file.owner];
  const beside = [`${file.path}-wal`, `${file.path}-mark`].filter(hasContent);
  const away = ["it", ...beside].join(" and ");
  const advice =
    beside.length > 0
      ? `move ${away} away, then put a backup in its place, or leave it so ${fresh}`
      : `put a backup in its place, or move it away ${fresh}`;
  const message = `${file.path} is damaged${where}: ${advice}; running containers are not touched`;
  return new OrchdError("damaged", message, { cause });
}

/**
 * Whether what was written last, before a crash, lies beside the file. It belongs to this very
 * file: over a backup it would spoil that as well.
 */
export function hasJournal(file: DatabaseFile): boolean {
  return hasContent(`${file.path}-wal`);
}

function hasContent(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Whether SQLite says that another process holds the file. */
export function isLocked(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(rootCodeOf(error));
}

/** SQLite's or the system's code; drizzle wraps some of SQLite's errors in its own. */
function rootCodeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = systemCodeOf(at);
    if (code !== undefined) return code;
  }
  return "";
}

/** Puts what SQLite or the system said about a database file into orchd's own words. */
export function classifyDatabaseError(file: DatabaseFile, error: unknown): OrchdError {
  if (error instanceof OrchdError) return error;
  const code = rootCodeOf(error);
  const cause = { cause: error };
  const directory = dirname(file.path);
  if (isLocked(error)) {
    const message =
      `another orchd ${file.owner} uses the data directory ${directory}: ` +
      "stop it, or give this one its own with --data-dir";
    return new OrchdError("conflict", message, cause);
  }
  if (code === "SQLITE_NOTADB") return damagedError(file, " (it is not a database)", error);
  if (/^SQLITE_(CORRUPT|FORMAT)/.test(code)) return damagedError(file, "", error);
  if (/^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(code)) {
    const message = `the disk that holds ${directory} is full: make room and try again`;
    return new OrchdError("noSpace", message, { ...cause, retryable: true });
  }
  if (/^(SQLITE_READONLY|SQLITE_CANTOPEN|SQLITE_PERM|EACCES|EPERM|EROFS)/.test(code)) {
    const advice = "give orchd a writable directory with --data-dir";
    const message = `${directory} cannot be written: ${advice}`;
    return new OrchdError("forbidden", message, cause);
  }
  if (/^(ENOTDIR|EEXIST|EISDIR)$/.test(code)) {
    const message = `${directory} is not a directory: give another one with --data-dir`;
    return new OrchdError("invalid", message, cause);
  }
  const message = `${file.path} cannot be used: look at the disk under it`;
  return new OrchdError("internal", message, cause);
}
