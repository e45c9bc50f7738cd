import * as fs from "node:fs";
import { promisify } from "node:util";
import { ArchiveReader, type ArchiveLimits } from "../core/archive/archive-reader.ts";
import { shownName } from "../core/archive/bytes.ts";
import type { ArchiveEntry } from "../core/archive/entry.ts";
import type { Contents } from "../core/archive/seal.ts";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { OpenDirectory } from "./open-directory.ts";
import { newSha256 } from "./sha256.ts";
import { loadSystemCalls, type SystemCalls } from "./system-calls.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
/** Zeros of this length become a hole where the file had holes. */
const HOLE_BYTES = 4096;
const SECOND_US = 1_000_000;

const write = promisify(fs.write);

/**
 * Puts the tree of a volume archive together in an empty directory. All of it is checked on the
 * way, and only at its end is it known to be good: until then the directory is nobody's.
 * @throws OrchdError `invalid` or `damaged` for an archive that is refused, `noSpace`
 */
export async function writeTree(
  top: OpenDirectory,
  archive: AsyncIterable<Uint8Array>,
  limits: ArchiveLimits,
): Promise<Contents> {
  const reader = new ArchiveReader("volume archive", newSha256(), limits);
  const writing = new TreeWriting(top, await loadSystemCalls());
  try {
    for await (const chunk of archive) {
      for (const event of reader.push(chunk)) {
        if (event.type === "problem") throw refusalOf(event.message);
        if (event.type === "entry") writing.begin(event.entry);
        else if (event.type === "data") await writing.write(event.bytes);
      }
    }
    const end = reader.finish();
    if (end.type === "problem") throw refusalOf(end.message);
    writing.finish();
    return end.contents;
  } catch (error) {
    throw classified(error);
  } finally {
    writing.close();
  }
}

/** A directory on the way down to where entries come, with what it is to look like in the end. */
interface Level {
  name: string;
  directory: OpenDirectory;
  /** Absent for one that was entered again. */
  entry: ArchiveEntry | undefined;
}

interface OpenFile {
  descriptor: number;
  /** The name that it was made under, in a directory that is held open. */
  path: Buffer;
  entry: ArchiveEntry;
  at: number;
}

class TreeWriting {
  readonly #top: OpenDirectory;
  readonly #calls: SystemCalls;
  readonly #levels: Level[] = [];
  #topEntry: ArchiveEntry | undefined;
  #file: OpenFile | undefined;

  constructor(top: OpenDirectory, calls: SystemCalls) {
    this.#top = top;
    this.#calls = calls;
  }

  begin(entry: ArchiveEntry): void {
    this.#endFile();
    if (entry.path === "") {
      this.#topEntry = entry;
      return;
    }
    const names = entry.path.split("/");
    const name = names.pop() ?? "";
    const parent = this.#enter(names);
    try {
      this.#make(parent, name, entry);
    } catch (error) {
      if (systemCodeOf(error) !== "EEXIST") throw error;
      throw refusalOf(`the archive is refused: ${shownName(entry.path)} is in it twice`);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    if (file.entry.isSparse) return this.#writeSparse(file, bytes);
    await this.#writeAt(file, bytes);
  }

  finish(): void {
    this.#endFile();
    this.#leaveTo(0);
    if (this.#topEntry !== undefined) {
      this.#dress(Buffer.from(`${this.#top.path}/.`), this.#topEntry);
    }
  }

  /** Lets go of everything, wherever it stands. */
  close(): void {
    if (this.#file !== undefined) fs.closeSync(this.#file.descriptor);
    this.#file = undefined;
    for (const { directory } of this.#levels.splice(0)) directory.close();
  }

  /** The directory of these names; those that are left on the way are done. */
  #enter(names: readonly string[]): OpenDirectory {
    const same = names.findIndex((name, i) => this.#levels[i]?.name !== name);
    this.#leaveTo(same < 0 ? names.length : same);
    for (const name of names.slice(this.#levels.length)) {
      const directory = this.#open(this.#here(), name, names.join("/"));
      this.#levels.push({ name, directory, entry: undefined });
    }
    return this.#here();
  }

  #here(): OpenDirectory {
    return this.#levels.at(-1)?.directory ?? this.#top;
  }

  #open(parent: OpenDirectory, name: string, path: string): OpenDirectory {
    try {
      return parent.child(name);
    } catch (error) {
      const code = systemCodeOf(error);
      if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "ELOOP") throw error;
      throw refusalOf(`the archive is refused: ${shownName(path)} is no directory in it`);
    }
  }

  #leaveTo(depth: number): void {
    while (this.#levels.length > depth) {
      const level = this.#levels.pop();
      if (level === undefined) return;
      if (level.entry !== undefined) {
        this.#dress(Buffer.from(`${level.directory.path}/.`), level.entry);
      }
      level.directory.close();
    }
  }

  #make(parent: OpenDirectory, name: string, entry: ArchiveEntry): void {
    const path = parent.at(name);
    switch (entry.kind) {
      case "directory":
        fs.mkdirSync(path, { mode: 0o700 });
        this.#levels.push({ name, directory: parent.child(name), entry });
        return;
      case "file": {
        const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
        this.#file = { descriptor: fs.openSync(path, flags, 0o600), path, entry, at: 0 };
        if (entry.size === 0) this.#endFile();
        return;
      }
      case "symlink":
        fs.symlinkSync(Buffer.from(entry.target, "latin1"), path);
        return this.#dress(path, entry);
      case "hardlink":
        return this.#link(path, entry);
      case "fifo":
        if (this.#calls.makeFifo(path, 0o600)) return this.#dress(path, entry);
        throw refusalOf(`the pipe ${shownName(entry.path)} can't be made on this machine`);
    }
  }

  /** To a file of this very tree, on a way that has no links. */
  #link(path: Buffer, { target, path: shown }: ArchiveEntry): void {
    const names = target.split("/");
    const name = names.pop() ?? "";
    const opened: OpenDirectory[] = [];
    try {
      let directory = this.#top;
      for (const each of names) {
        directory = this.#open(directory, each, target);
        opened.push(directory);
      }
      if (!directory.stat(name).isFile()) throw noTarget(shown);
      fs.linkSync(directory.at(name), path);
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") throw noTarget(shown);
      throw error;
    } finally {
      for (const directory of opened) directory.close();
    }
  }

  #endFile(): void {
    const file = this.#file;
    if (file === undefined) return;
    const { descriptor, path, entry } = file;
    if (entry.isSparse) fs.ftruncateSync(descriptor, entry.size);
    this.#file = undefined;
    try {
      this.#dress(path, entry);
    } finally {
      fs.closeSync(descriptor);
    }
  }

  /** Owner before rights and attributes, which a change of the owner takes away; times last. */
  #dress(path: Buffer, entry: ArchiveEntry): void {
    const { kind, uid, gid, mode, mtimeUs, attributes } = entry;
    // The middle of the microsecond: numbers with a fraction are cut off on their way.
    const mtime = (mtimeUs + 0.5) / SECOND_US;
    fs.lchownSync(path, uid, gid);
    if (kind !== "symlink") fs.chmodSync(path, mode);
    for (const attribute of attributes) this.#calls.setAttribute(path, attribute);
    fs.lutimesSync(path, mtime, mtime);
  }

  async #writeAt(file: OpenFile, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const length = bytes.length - at;
      const { bytesWritten } = await write(file.descriptor, bytes, at, length, file.at);
      at += bytesWritten;
      file.at += bytesWritten;
    }
  }

  async #writeSparse(file: OpenFile, bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      // Whole blocks of the file, whatever pieces it comes in.
      const part = rest.subarray(0, HOLE_BYTES - (file.at % HOLE_BYTES));
      rest = rest.subarray(part.length);
      if (part.every((byte) => byte === 0)) file.at += part.length;
      else await this.#writeAt(file, part);
    }
  }
}

function noTarget(path: string): OrchdError {
  const what = `the file that ${shownName(path)} is to be one with is not in it before`;
  return refusalOf(`the archive is refused: ${what}`);
}

function refusalOf(problem: string): OrchdError {
  const isForeign = /^this is no|newer orchd|^the archive is a /.test(problem);
  return new OrchdError(isForeign ? "invalid" : "damaged", problem);
}

function classified(error: unknown): unknown {
  const code = systemCodeOf(error);
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  const message = "the node's disk is full: make room there, nothing was changed";
  return new OrchdError("noSpace", message, { cause: error });
}
