import * as fs from "node:fs";
import { z } from "zod";

const markSchema = z.object({ clusterId: z.string().max(64), revision: z.int().min(0) });
type Mark = z.infer<typeof markSchema>;

/** One sector: written in one piece, and never longer than what it replaces. */
const MARK_BYTES = 512;

/**
 * The revision of the last durable commit, in a file beside the database. SQLite drops the part of
 * a `-wal` that it can't read without a word; the mark tells that commits are missing then. It is
 * written after the commit's fsync and without one of its own, so it is never ahead of the disk:
 * after a power cut it may lag, after a crash of the process it is exact. A clean close, which
 * leaves no `-wal`, removes it.
 */
export class CommitMark {
  readonly #path: string;
  readonly #clusterId: string;
  #descriptor: number | undefined;

  constructor(databasePath: string, clusterId: string) {
    this.#path = markPathOf(databasePath);
    this.#clusterId = clusterId;
  }

  /** The revision that the database must have reached, or 0 where nothing is known of it. */
  read(): number {
    const mark = parseMark(this.#path);
    // The mark of another cluster says nothing of this database.
    return mark?.clusterId === this.#clusterId ? mark.revision : 0;
  }

  /** Notes a revision that is durable. */
  write(revision: number): void {
    const mark: Mark = { clusterId: this.#clusterId, revision };
    try {
      this.#descriptor ??= openMark(this.#path);
      fs.writeSync(this.#descriptor, JSON.stringify(mark).padEnd(MARK_BYTES), 0);
    } catch {
      // The commit is durable without it: on a full disk only the guard is missing.
    }
  }

  remove(): void {
    if (this.#descriptor !== undefined) fs.closeSync(this.#descriptor);
    this.#descriptor = undefined;
    fs.rmSync(this.#path, { force: true });
  }
}

export function markPathOf(databasePath: string): string {
  return `${databasePath}-mark`;
}

/** Never through a link that somebody put there. */
function openMark(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = fs.constants;
  return fs.openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
}

function parseMark(path: string): Mark | undefined {
  try {
    return markSchema.parse(JSON.parse(fs.readFileSync(path, "utf8")));
  } catch {
    // Not there, or spoilt itself: it guards the state and is none.
    return undefined;
  }
}
