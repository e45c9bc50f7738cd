import { Database } from "bun:sqlite";
import * as fs from "node:fs";
import { join } from "node:path";

const DATABASES = ["server.db", "agent.db"];
/** What belongs to a database file, see `database-file.ts` and `commit-mark.ts`. */
const PARTS = ["", "-wal", "-mark"];

/**
 * The databases of a data directory as they were before another version of orchd opened them: an
 * older one refuses what a newer one has changed in their shape. Nobody may have them open.
 */
export class KeptDatabases {
  readonly #dataDir: string;
  readonly #dir: string;

  constructor(dataDir: string, dir: string) {
    this.#dataDir = dataDir;
    this.#dir = dir;
  }

  /** Copies them, unless that was done; a copy that is cut off is none. */
  keep(): void {
    if (fs.existsSync(this.#dir)) return;
    const draft = `${this.#dir}.new`;
    fs.rmSync(draft, { recursive: true, force: true });
    fs.mkdirSync(draft, { recursive: true, mode: 0o700 });
    for (const name of DATABASES) copy(join(this.#dataDir, name), join(draft, name));
    fs.renameSync(draft, this.#dir);
  }

  /** Puts back those whose shape has changed since; the others have what happened meanwhile. */
  putBackOlder(): void {
    for (const name of DATABASES) {
      const [now, before] = [join(this.#dataDir, name), join(this.#dir, name)];
      if (!fs.existsSync(before) || shapeOf(now) === shapeOf(before)) continue;
      for (const part of PARTS) fs.rmSync(now + part, { force: true });
      copy(before, now);
    }
  }

  forget(): void {
    fs.rmSync(this.#dir, { recursive: true, force: true });
  }
}

function copy(from: string, to: string): void {
  // The file itself last: without it there is nothing to open.
  for (const part of [...PARTS].reverse()) {
    if (!fs.existsSync(from + part)) continue;
    fs.copyFileSync(from + part, `${to + part}.part`);
    const file = fs.openSync(`${to + part}.part`, "r");
    fs.fsyncSync(file);
    fs.closeSync(file);
    fs.renameSync(`${to + part}.part`, to + part);
  }
}

/** Which changes of its shape a database has had; nothing that tells when it can't be read. */
function shapeOf(path: string): string {
  if (!fs.existsSync(path)) return "none";
  const client = new Database(path, { readwrite: true, create: false });
  try {
    client.run("PRAGMA locking_mode = EXCLUSIVE");
    const rows = client.query("SELECT created_at FROM __drizzle_migrations ORDER BY 1").all();
    return JSON.stringify(rows);
  } catch {
    return "unreadable";
  } finally {
    client.close();
  }
}
