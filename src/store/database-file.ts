import { Database } from "bun:sqlite";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { migrate } from "drizzle-orm/bun-sqlite/migrator";
import { readMigrationFiles } from "drizzle-orm/migrator";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import {
  classifyDatabaseError,
  damagedError,
  type DatabaseFile,
  hasJournal,
  isLocked,
} from "./database-errors.ts";

/** The same relative path in the sources and in the executable, where the folder is an asset. */
const MIGRATIONS = join(import.meta.dir, "migrations");

const FOREIGN = " (it is not a database of orchd)";

export type Db = ReturnType<typeof connect>;

/**
 * Opens one of orchd's database files for this process alone, and makes it first where there is
 * none. A file that exists is checked and never overwritten; a healthy one opens without a write.
 * @param fill writes the first rows of a new file
 * @throws OrchdError `conflict` when another process holds it, `damaged`, `noSpace`, `forbidden`
 */
export function openDatabaseFile(file: DatabaseFile, fill: (db: Db) => void): Db {
  try {
    fs.mkdirSync(dirname(file.path), { recursive: true, mode: 0o700 });
    fs.accessSync(dirname(file.path), fs.constants.W_OK | fs.constants.X_OK);
    if (!fs.existsSync(file.path)) createFile(file, fill);
    return openExisting(file);
  } catch (error) {
    // Everything here is SQLite or the file system: one sentence each, with the original as cause.
    throw classifyDatabaseError(file, error);
  }
}

/** Makes the file complete under another name: a power cut leaves either all of it or none. */
function createFile(file: DatabaseFile, fill: (db: Db) => void): void {
  if (hasJournal(file)) throw damagedError(file, " (only its -wal is left)");
  const draft = `${file.path}.new-${process.pid}`;
  removeDrafts(file.path);
  try {
    writeDraft(file, draft, fill);
    moveIntoPlace(draft, file.path);
    syncPath(dirname(file.path));
  } finally {
    removeDrafts(file.path);
  }
}

function writeDraft(file: DatabaseFile, draft: string, fill: (db: Db) => void): void {
  fs.closeSync(fs.openSync(draft, "wx", 0o600));
  const client = new Database(draft, { readwrite: true, create: false });
  try {
    lockAndReadMode(client);
    client.run("PRAGMA journal_mode = WAL");
    const db = connect(client);
    migrate(db, { migrationsFolder: migrationsOf(file) });
    fill(db);
  } finally {
    client.close(true);
  }
  syncPath(draft);
}

/** Unlike a rename, a link never replaces a file that another server made in the meantime. */
function moveIntoPlace(draft: string, path: string): void {
  try {
    fs.linkSync(draft, path);
  } catch (error) {
    const code = systemCodeOf(error);
    // Another server was faster, or took this draft for one that was left: its lock decides.
    if (code === "EEXIST" || code === "ENOENT") return;
    // File systems without links, such as FAT.
    if (code !== "EPERM" && code !== "ENOTSUP") throw error;
    fs.renameSync(draft, path);
  }
}

/** The draft, and what an orchd left that was killed while it made its own. */
function removeDrafts(path: string): void {
  for (const name of fs.readdirSync(dirname(path))) {
    if (name.startsWith(`${basename(path)}.new-`)) fs.unlinkSync(join(dirname(path), name));
  }
}

function openExisting(file: DatabaseFile): Db {
  const found = fs.statSync(file.path);
  if (!found.isFile()) throw damagedError(file, " (it is not a file)");
  if (found.size === 0) throw damagedError(file, " (it is empty)");
  if ((found.mode & 0o077) !== 0) fs.chmodSync(file.path, 0o600);
  const client = new Database(file.path, { readwrite: true, create: false });
  try {
    // Reading the mode takes the lock and reads the first page; setting it could write.
    if (lockAndReadMode(client) !== "wal") throw damagedError(file, FOREIGN);
    const db = connect(client);
    checkPages(file, db);
    bringUpToDate(file, db);
    return db;
  } catch (error) {
    // Without the lock the file is another's, and closing can't touch it.
    if (isLocked(error)) client.close(true);
    else closeRefused(file, client);
    throw error;
  }
}

/**
 * Closes a file that is refused and leaves it, with its `-wal`, byte for byte as it is. SQLite
 * would copy what the `-wal` holds into the file on closing; it does not where the file was moved.
 * To be called with the lock held.
 */
export function closeRefused(file: DatabaseFile, client: Database): void {
  if (!hasJournal(file)) return client.close(true);
  const away = `${file.path}.refused`;
  fs.renameSync(file.path, away);
  client.close(true);
  fs.renameSync(away, file.path);
}

/**
 * Whether another process has the file open. It stays as it is, whatever it holds.
 */
export function isInUse(file: DatabaseFile): boolean {
  const client = new Database(file.path, { readwrite: true, create: false });
  try {
    lockAndReadMode(client);
  } catch (error) {
    if (isLocked(error)) {
      client.close(true);
      return true;
    }
    // Damaged, or no database at all: nobody can use it.
  }
  closeRefused(file, client);
  return false;
}

/** One writer, one process: the lock is held until the file is closed or the process ends. */
function lockAndReadMode(client: Database): string | undefined {
  client.run("PRAGMA busy_timeout = 200");
  client.run("PRAGMA locking_mode = EXCLUSIVE");
  return client.query<Mode, []>("PRAGMA journal_mode").get()?.journal_mode;
}

interface Mode {
  journal_mode: string;
}

function connect(client: Database) {
  client.run("PRAGMA synchronous = FULL");
  return drizzle(client);
}

function checkPages(file: DatabaseFile, db: Db): void {
  const [first] = db.all<{ quick_check: string }>(sql`PRAGMA quick_check(1)`);
  if (first?.quick_check !== "ok") throw damagedError(file, "", first?.quick_check);
}

/** Applies what this version adds; a file that a newer version wrote is left alone. */
function bringUpToDate(file: DatabaseFile, db: Db): void {
  const migrationsFolder = migrationsOf(file);
  const known = readMigrationFiles({ migrationsFolder }).map((m) => m.folderMillis);
  const applied = appliedMigrations(db);
  if (applied.length === 0) throw damagedError(file, FOREIGN);
  if (applied.some((at) => !known.includes(at))) {
    const message = `${file.path} was written by a newer orchd: start that version again`;
    throw new OrchdError("invalid", message);
  }
  if (applied.length < known.length) migrate(db, { migrationsFolder });
}

function appliedMigrations(db: Db): number[] {
  const tables = db.values<[string]>(sql`SELECT name FROM sqlite_master WHERE type = 'table'`);
  if (!tables.some(([name]) => name === "__drizzle_migrations")) return [];
  const rows = db.values<[unknown]>(sql`SELECT created_at FROM __drizzle_migrations`);
  return rows.map(([at]) => Number(at));
}

function migrationsOf(file: DatabaseFile): string {
  return join(MIGRATIONS, file.owner);
}

function syncPath(path: string): void {
  const descriptor = fs.openSync(path, "r");
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}
