import * as fs from "node:fs";
import { rm } from "node:fs/promises";
import { systemCodeOf } from "../lib/errors.ts";
import { OpenDirectory } from "./open-directory.ts";

/**
 * Where a tree is put together, in the volume itself and so on its file system. Only when all of it
 * is there, checked and on the disk does it take the place of what the volume has. Steps, each of
 * which is begun again after a power cut:
 *
 *   new/       is being filled; anything that breaks off here leaves the volume as it was
 *   committed  is made: from here on it goes forward only
 *   old/       gets all that the volume has; then `cleared` is made
 *   new/       gives all that it has to the volume; then the area goes, with what is in old/
 */
export const RESTORE_AREA = ".orchd-restore";
const NEW = "new";
const OLD = "old";
const COMMITTED = "committed";
const CLEARED = "cleared";

export class RestoreArea {
  readonly #top: OpenDirectory;
  readonly #area: OpenDirectory;
  /** What the top looked like before the area was in it. */
  readonly #before: fs.Stats;

  private constructor(top: OpenDirectory, area: OpenDirectory, before: fs.Stats) {
    this.#top = top;
    this.#area = area;
    this.#before = before;
  }

  /** Begins a fresh one. What an earlier one left is brought to its end first. */
  static async begin(top: OpenDirectory): Promise<RestoreArea> {
    await finishRestore(top);
    const before = fs.fstatSync(top.descriptor);
    fs.mkdirSync(top.at(RESTORE_AREA), { mode: 0o700 });
    const area = new RestoreArea(top, top.child(RESTORE_AREA), before);
    fs.mkdirSync(area.#area.at(NEW), { mode: 0o700 });
    return area;
  }

  /** Where the new tree is put together. */
  openNew(): OpenDirectory {
    return this.#area.child(NEW);
  }

  /** All of the new tree is on the disk: it becomes the volume's content. */
  async commit(): Promise<void> {
    mark(this.#area, COMMITTED);
    await this.#goForward();
  }

  async discard(): Promise<void> {
    this.close();
    await removeArea(this.#top);
    takeLooks(this.#top, this.#before);
  }

  close(): void {
    this.#area.close();
  }

  async #goForward(): Promise<void> {
    if (!exists(this.#area, CLEARED)) {
      if (!exists(this.#area, OLD)) fs.mkdirSync(this.#area.at(OLD), { mode: 0o700 });
      const old = this.#area.child(OLD);
      moveAll(this.#top, old, (name) => name !== RESTORE_AREA);
      old.close();
      mark(this.#area, CLEARED);
    }
    const fresh = this.#area.child(NEW);
    const looks = fs.fstatSync(fresh.descriptor);
    moveAll(fresh, this.#top, () => true);
    takeLooks(this.#top, looks);
    fresh.close();
    fs.fsyncSync(this.#top.descriptor);
    this.close();
    await removeArea(this.#top);
    // Its going was a change of the top as well.
    takeLooks(this.#top, looks);
  }

  /** For `finishRestore`. */
  static async resume(top: OpenDirectory): Promise<void> {
    const area = new RestoreArea(top, top.child(RESTORE_AREA), fs.fstatSync(top.descriptor));
    if (exists(area.#area, COMMITTED)) return area.#goForward();
    await area.discard();
  }
}

/** Brings what an agent began that was killed to its end: forward or back, never in between. */
export async function finishRestore(top: OpenDirectory): Promise<void> {
  if (exists(top, RESTORE_AREA)) await RestoreArea.resume(top);
}

/** The same for a volume by its path, in one look where there is nothing to do. */
export async function finishRestoreAt(path: string): Promise<void> {
  if (fs.lstatSync(`${path}/${RESTORE_AREA}`, { throwIfNoEntry: false }) === undefined) return;
  const top = OpenDirectory.top(path);
  try {
    await finishRestore(top);
  } finally {
    top.close();
  }
}

function moveAll(from: OpenDirectory, to: OpenDirectory, isMeant: (name: string) => boolean): void {
  for (const name of from.names()) {
    if (isMeant(name)) fs.renameSync(from.at(name), to.at(name));
  }
  fs.fsyncSync(to.descriptor);
  fs.fsyncSync(from.descriptor);
}

/** Owner, rights and time of the tree's own top. */
function takeLooks(top: OpenDirectory, { uid, gid, mode, mtimeMs }: fs.Stats): void {
  fs.fchownSync(top.descriptor, uid, gid);
  fs.fchmodSync(top.descriptor, mode & 0o7777);
  // The middle of the microsecond: numbers with a fraction are cut off on their way.
  const mtime = (Math.floor(mtimeMs * 1000) + 0.5) / 1_000_000;
  fs.futimesSync(top.descriptor, mtime, mtime);
}

function mark(directory: OpenDirectory, name: string): void {
  fs.closeSync(fs.openSync(directory.at(name), "w", 0o600));
  fs.fsyncSync(directory.descriptor);
}

function exists(directory: OpenDirectory, name: string): boolean {
  try {
    directory.stat(name);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return false;
    throw error;
  }
}

async function removeArea(top: OpenDirectory): Promise<void> {
  await rm(`${top.path}/${RESTORE_AREA}`, { recursive: true, force: true });
}
