import { assert } from "../../lib/assert.ts";
import { OrchdError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { systemRandom } from "../../lib/random.ts";
import type { Change } from "../../model/change.ts";
import type { MemoryView, View } from "../../model/view.ts";
import { classifyDatabaseError, damagedError, type DatabaseFile } from "../database-errors.ts";
import { closeRefused, type Db, openDatabaseFile } from "../database-file.ts";
import type { Commit, CommitResult, Store } from "../store.ts";
import { refuseMalformed } from "../well-formed.ts";
import { CommitMark } from "./commit-mark.ts";
import { copyDatabase } from "./copy-database.ts";
import { type Loaded, loadState } from "./load.ts";
import { SCHEMAS } from "./objects.ts";
import { metaTable } from "./schema.ts";
import { prepareStatements, type Statements, writeApplied } from "./statements.ts";

/** A commit that the view holds already and the disk not yet. */
interface Waiting extends Commit {
  /** The revision before it. */
  before: number;
  resolve(result: CommitResult): void;
  reject(error: OrchdError): void;
}

/**
 * Opens the cluster's state, and makes an empty cluster where there is no file yet.
 * @throws OrchdError `conflict` when another server holds the file, `damaged` when it is not what
 * orchd wrote, `noSpace`, `forbidden`; the file is untouched then
 */
export async function openSqliteStore(path: string): Promise<SqliteStore> {
  const file: DatabaseFile = { path, owner: "server" };
  const db = openDatabaseFile(file, (fresh) => {
    const clusterId = newId<"cluster">(systemRandom);
    fresh.insert(metaTable).values({ id: 1, clusterId, revision: 0 }).run();
  });
  try {
    const { clusterId, view } = loadState(file, db);
    const mark = new CommitMark(path, clusterId);
    const reached = mark.read();
    if (view.version < reached) {
      const missing = `revisions ${view.version + 1} to ${reached} are missing`;
      throw damagedError(file, ` (its last changes, ${missing}, were in its -wal)`);
    }
    return new SqliteStore(file, db, { clusterId, view, mark });
  } catch (error) {
    // A row that can't be read: whoever repairs the file finds it as it was.
    closeRefused(file, db.$client);
    throw classifyDatabaseError(file, error);
  }
}

/**
 * The store in one SQLite file. A commit changes the view at once; everything that was committed in
 * the same turn of the event loop is then written in one transaction with one fsync.
 */
export class SqliteStore implements Store {
  readonly clusterId: string;
  readonly #file: DatabaseFile;
  readonly #db: Db;
  readonly #view: MemoryView;
  readonly #mark: CommitMark;
  readonly #statements: Statements;
  readonly #watchers = new Set<(commit: Commit) => void>();
  #waiting: Waiting[] = [];
  #closed = false;

  constructor(
    file: DatabaseFile,
    db: Db,
    { clusterId, view, mark }: Loaded & { mark: CommitMark },
  ) {
    this.#file = file;
    this.#db = db;
    this.#view = view;
    this.#mark = mark;
    this.#statements = prepareStatements(db);
    this.clusterId = clusterId;
  }

  view(): View {
    return this.#view;
  }

  commit(changes: readonly Change[]): Promise<CommitResult> {
    return this.#commitAs(this.#view.version + (changes.length === 0 ? 0 : 1), changes);
  }

  /** A commit that leaves out all revisions before `version`, which is to be a later one. */
  leapTo(version: number, changes: readonly Change[]): Promise<CommitResult> {
    assert(version > this.#view.version, "revisions only grow");
    return this.#commitAs(version, changes);
  }

  /**
   * Writes a copy of all that is durable to a file that is not there yet; `openSqliteStore` opens
   * it. Nobody else has a turn meanwhile. Answers the revision of the copy.
   * @throws OrchdError `noSpace`, `forbidden`
   */
  copyTo(path: string): number {
    this.#flush();
    const { version } = this.#view;
    copyDatabase(this.#db.$client, path);
    return version;
  }

  async #commitAs(version: number, changes: readonly Change[]): Promise<CommitResult> {
    if (this.#closed) throw new OrchdError("internal", "the store is closed");
    const conflict = this.#view.conflictIn(changes);
    if (conflict !== undefined) return { ok: false, conflict };
    for (const change of changes) {
      if (change.op === "put") refuseMalformed(SCHEMAS[change.kind], change.value, change.kind);
    }
    const before = this.#view.version;
    const applied = this.#view.apply(changes, version);
    return new Promise((resolve, reject) => {
      // setImmediate runs after the callbacks of this turn, so that requests and reports that came
      // in together share the fsync; a microtask would give each of them its own.
      if (this.#waiting.length === 0) setImmediate(() => this.#flush());
      this.#waiting.push({ before, version, applied, resolve, reject });
    });
  }

  watch(onCommit: (commit: Commit) => void): () => void {
    // A wrapper of its own, so that the same function may watch twice.
    const watcher = (commit: Commit) => onCommit(commit);
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    this.#db.$client.close(true);
    this.#mark.remove();
  }

  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    const changed = batch.filter((waiting) => waiting.applied.length > 0);
    try {
      if (changed.length > 0) this.#write(changed);
    } catch (error) {
      // The disk refused: nothing of the batch happened, whatever was built upon it included.
      this.#revert(changed);
      const refused = classifyDatabaseError(this.#file, error);
      for (const waiting of batch) waiting.reject(refused);
      return;
    }
    const last = changed.at(-1);
    if (last !== undefined) this.#mark.write(last.version);
    for (const waiting of batch) waiting.resolve({ ok: true, version: waiting.version });
    for (const { version, applied } of changed) this.#tell({ version, applied });
  }

  #write(batch: readonly Waiting[]): void {
    this.#db.transaction(() => {
      for (const { applied } of batch) {
        for (const one of applied) writeApplied(this.#statements, one);
      }
      this.#statements.setRevision.run({ revision: batch.at(-1)?.version });
    });
  }

  #revert(batch: readonly Waiting[]): void {
    for (const { before, applied } of batch.toReversed()) this.#view.revert(applied, before);
  }

  #tell(commit: Commit): void {
    for (const watcher of Array.from(this.#watchers)) {
      try {
        watcher(commit);
      } catch (error) {
        // A fault of one watcher must not keep the commit from the others; it still surfaces.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
