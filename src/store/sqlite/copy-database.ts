import { Database } from "bun:sqlite";
import * as fs from "node:fs";
import { classifyDatabaseError } from "../database-errors.ts";

/**
 * Copies an open database into a file of its own, whole and as of one moment, for its owner's eyes
 * alone. The file is as orchd writes them, and not synced.
 * @throws OrchdError `noSpace`, `forbidden`; nothing is left then
 */
export function copyDatabase(client: Database, path: string): void {
  try {
    // SQLite takes an empty file for one that it may fill, and keeps its mode.
    fs.closeSync(fs.openSync(path, "wx", 0o600));
    client.run("VACUUM INTO ?", [path]);
    const copy = new Database(path, { readwrite: true, create: false });
    copy.run("PRAGMA journal_mode = WAL");
    copy.close(true);
  } catch (error) {
    fs.rmSync(path, { force: true });
    throw classifyDatabaseError({ path, owner: "server" }, error);
  }
}
