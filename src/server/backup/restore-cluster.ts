import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import { put } from "../../model/change.ts";
import { revisionAfterRestore } from "../../model/cluster.ts";
import { isInUse } from "../../store/database-file.ts";
import { makePrivateDirectory } from "../../store/private-directory.ts";
import { openSqliteStore, type SqliteStore } from "../../store/sqlite/sqlite-store.ts";
import { clusterIn } from "../cluster-keys.ts";
import { DATABASE_NAME, KEY_NAMES, type Manifest } from "./manifest.ts";
import { newerBackup, readBackup } from "./read-backup.ts";

/** What belongs to one database alone. */
const DATABASE_PARTS = [`${DATABASE_NAME}-wal`, `${DATABASE_NAME}-mark`];
/** The server's certificate: one of another cluster's CA would only be made anew. */
const CERTIFICATE_NAME = "server.pem";

export interface RestoreOptions {
  /** The backup. */
  file: string;
  dataDir: string;
  passphrase: string | undefined;
  /** Whether a cluster that is there makes room; its files are kept in a folder beside it. */
  replace: boolean;
  /** Milliseconds since 1970. */
  now: number;
}

export interface Restored {
  manifest: Manifest;
  /** Where the files of the cluster before lie now; absent where there was none. */
  movedTo?: string;
}

/**
 * Puts a cluster back from a backup where no server runs. Until all of the backup was read, checked
 * and opened nothing of what is there is touched, and whatever fails leaves it as it was.
 * @throws OrchdError `conflict` where a cluster is, or its server runs; what `readBackup` throws
 */
export async function restoreCluster(options: RestoreOptions): Promise<Restored> {
  const { file, dataDir, passphrase, replace, now } = options;
  await makePrivateDirectory(dataDir, "--data-dir");
  const isThere = fs.existsSync(join(dataDir, DATABASE_NAME));
  if (isThere && !replace) {
    const message =
      `${dataDir} has a cluster already: give an empty --data-dir, or add --replace, ` +
      "which moves that cluster's files aside";
    throw new OrchdError("conflict", message);
  }
  if (isThere && isInUse({ path: join(dataDir, DATABASE_NAME), owner: "server" })) {
    throw new OrchdError("conflict", `an orchd server runs with ${dataDir}: stop it first`);
  }
  const draft = join(dataDir, `.restore-${randomUUID()}`);
  fs.mkdirSync(draft, { mode: 0o700 });
  try {
    const manifest = await readBackup(file, draft, passphrase);
    await beginAnew(join(draft, DATABASE_NAME), now);
    const movedTo = isThere ? keepAside(dataDir, now) : undefined;
    fs.rmSync(join(dataDir, CERTIFICATE_NAME), { force: true });
    putKeys(draft, dataDir);
    fs.renameSync(join(draft, DATABASE_NAME), join(dataDir, DATABASE_NAME));
    syncDirectory(dataDir);
    return movedTo === undefined ? { manifest } : { manifest, movedTo };
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/** Opens the database as a server would, and lets it count from where no node has been yet. */
async function beginAnew(path: string, now: number): Promise<void> {
  const store = await openRestored(path);
  try {
    const view = store.view();
    const to = revisionAfterRestore(view.version, now);
    const restored = { from: view.version, to, at: now };
    await store.leapTo(to, [put.cluster({ ...clusterIn(view), restored })]);
  } finally {
    await store.close();
  }
}

/** Its path, which is gone soon, is nothing to tell of. */
async function openRestored(path: string): Promise<SqliteStore> {
  try {
    return await openSqliteStore(path);
  } catch (error) {
    if (error instanceof OrchdError && error.code === "invalid") throw newerBackup();
    throw error;
  }
}

/**
 * What opens the secrets of the backup. A key that is there and not in the backup stays where no
 * cluster was, since it may have been put there for this.
 */
function putKeys(draft: string, dataDir: string): void {
  for (const name of KEY_NAMES) {
    if (fs.existsSync(join(draft, name))) fs.renameSync(join(draft, name), join(dataDir, name));
  }
}

/** At no moment is there no database: a server that started then would begin an empty cluster. */
function keepAside(dataDir: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
  const folder = join(dataDir, `replaced-${stamp}-${randomUUID().slice(0, 8)}`);
  fs.mkdirSync(folder, { mode: 0o700 });
  fs.copyFileSync(join(dataDir, DATABASE_NAME), join(folder, DATABASE_NAME));
  for (const name of DATABASE_PARTS) {
    const from = join(dataDir, name);
    if (fs.existsSync(from)) fs.renameSync(from, join(folder, name));
  }
  // Copied: where the backup has none it may be the right one.
  for (const name of KEY_NAMES) {
    const from = join(dataDir, name);
    if (fs.existsSync(from)) fs.copyFileSync(from, join(folder, name));
  }
  return folder;
}

function syncDirectory(path: string): void {
  const descriptor = fs.openSync(path, "r");
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}
