import * as fs from "node:fs";
import { promisify } from "node:util";
import { ArchiveWriter } from "../core/archive/archive-writer.ts";
import { byteStringOf } from "../core/archive/bytes.ts";
import { type ArchiveEntry, DEPTH_MAX, type EntryKind } from "../core/archive/entry.ts";
import { Gathering } from "./gathering.ts";
import { OpenDirectory } from "./open-directory.ts";
import { RESTORE_AREA } from "./restore-area.ts";
import { newSha256 } from "./sha256.ts";
import { loadSystemCalls, type SystemCalls } from "./system-calls.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
const PIECE_BYTES = 512 * 1024;
/** Of more files with several names each name counts as a file of its own. */
const LINKS_MAX = 500_000;
/** After so many small files whoever else waits has a turn. */
const TURN_ENTRIES = 256;

const read = promisify(fs.read);

type Pieces = AsyncGenerator<Uint8Array, void, void>;

/**
 * A directory tree as a volume archive, piece by piece, each good until the next one is asked for;
 * never more of it in memory than one piece and the names of the directories that are open. Other
 * file systems that are mounted in the tree are left out, and so are sockets and devices. A file
 * that changes while it is read has the size that it had at first; the end of the archive tells how
 * many there were.
 */
export async function* readTree(path: string): Pieces {
  const top = OpenDirectory.top(path);
  try {
    const reading = new TreeReading(top, await loadSystemCalls());
    yield* reading.archive();
  } finally {
    top.close();
  }
}

class TreeReading {
  readonly #top: OpenDirectory;
  readonly #device: bigint;
  readonly #writer: ArchiveWriter;
  readonly #calls: SystemCalls;
  readonly #gathering = new Gathering(PIECE_BYTES);
  /** Paths of files that have several names, by device and number. */
  readonly #links = new Map<string, string>();
  #changed = 0;
  #skipped = 0;
  #entries = 0;

  constructor(top: OpenDirectory, calls: SystemCalls) {
    this.#top = top;
    this.#device = fs.fstatSync(top.descriptor, { bigint: true }).dev;
    this.#writer = new ArchiveWriter("volume archive", newSha256());
    this.#calls = calls;
  }

  async *archive(): Pieces {
    yield* this.#gathering.add(this.#writer.begin());
    const stat = fs.fstatSync(this.#top.descriptor, { bigint: true });
    const attributes = this.#calls.attributesOf(Buffer.from(`${this.#top.path}/.`));
    yield* this.#put({ ...entryOf("directory", "", stat), attributes });
    yield* this.#directory(this.#top, "", 0);
    const counts = { changed: this.#changed, skipped: this.#skipped };
    yield* this.#gathering.add(this.#writer.end(counts));
    yield* this.#gathering.rest();
  }

  async *#directory(directory: OpenDirectory, path: string, depth: number): Pieces {
    for (const name of directory.names()) {
      if (depth === 0 && name === RESTORE_AREA) continue;
      if (++this.#entries % TURN_ENTRIES === 0) await new Promise((turn) => setImmediate(turn));
      const at = path === "" ? name : `${path}/${name}`;
      try {
        yield* this.#member(directory, name, at, depth);
      } catch (error) {
        // Removed, or something else by now: the tree is being changed.
        if (!isGone(error)) throw error;
        this.#changed += 1;
      }
    }
  }

  async *#member(directory: OpenDirectory, name: string, path: string, depth: number): Pieces {
    const stat = directory.stat(name);
    if (stat.isFile()) return yield* this.#file(directory, name, path);
    const attributes = this.#calls.attributesOf(directory.at(name));
    if (stat.isSymbolicLink()) {
      const target = byteStringOf(fs.readlinkSync(directory.at(name), { encoding: "buffer" }));
      return yield* this.#put({ ...entryOf("symlink", path, stat), target, attributes });
    }
    if (stat.isFIFO()) return yield* this.#put({ ...entryOf("fifo", path, stat), attributes });
    if (!stat.isDirectory()) {
      this.#skipped += 1;
      return;
    }
    const child = directory.child(name);
    try {
      yield* this.#put({ ...entryOf("directory", path, stat), attributes });
      const isForeign = stat.dev !== this.#device;
      if (isForeign || depth + 2 > DEPTH_MAX) this.#skipped += 1;
      else yield* this.#directory(child, path, depth + 1);
    } finally {
      child.close();
    }
  }

  async *#file(directory: OpenDirectory, name: string, path: string): Pieces {
    // A pipe that takes its place would keep whoever opens it waiting.
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    const descriptor = fs.openSync(directory.at(name), flags);
    try {
      const stat = fs.fstatSync(descriptor, { bigint: true });
      if (!stat.isFile()) {
        this.#skipped += 1;
        return;
      }
      const other = this.#otherName(stat, path);
      const attributes = this.#calls.attributesOf(directory.at(name));
      if (other !== undefined) {
        return yield* this.#put({ ...entryOf("hardlink", path, stat), target: other });
      }
      const isSparse = stat.blocks * 512n < stat.size;
      const size = Number(stat.size);
      yield* this.#put({ ...entryOf("file", path, stat), size, isSparse, attributes });
      yield* this.#content(descriptor, size);
      const now = fs.fstatSync(descriptor, { bigint: true });
      if (now.mtimeNs !== stat.mtimeNs || now.size !== stat.size) this.#changed += 1;
      yield* this.#gathering.add(this.#writer.padding(size));
    } finally {
      fs.closeSync(descriptor);
    }
  }

  async *#content(descriptor: number, size: number): Pieces {
    for (let at = 0; at < size;) {
      const space = this.#gathering.space().subarray(0, size - at);
      const { bytesRead } = await read(descriptor, space, 0, space.length, at);
      // It was cut short: its place is filled with zeros.
      if (bytesRead === 0) space.fill(0);
      const piece = space.subarray(0, bytesRead === 0 ? space.length : bytesRead);
      at += piece.length;
      this.#writer.data(piece);
      yield* this.#gathering.filled(piece.length);
    }
  }

  /** The name under which the file is in the archive already. */
  #otherName(stat: fs.BigIntStats, path: string): string | undefined {
    if (stat.nlink < 2n) return undefined;
    const key = `${stat.dev}:${stat.ino}`;
    const known = this.#links.get(key);
    if (known === undefined && this.#links.size < LINKS_MAX) this.#links.set(key, path);
    return known;
  }

  *#put(entry: ArchiveEntry): Generator<Uint8Array, void, void> {
    yield* this.#gathering.add(this.#writer.entry(entry));
  }
}

function entryOf(kind: EntryKind, path: string, stat: fs.BigIntStats): ArchiveEntry {
  return {
    kind,
    path,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeUs: Number(stat.mtimeNs / 1000n),
    size: 0,
    target: "",
    isSparse: false,
    attributes: [],
  };
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "EINVAL";
}
