import { createHash, randomUUID, type Hash } from "node:crypto";
import { constants, rmSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { formatBytes } from "../lib/text.ts";
import { TransferGarbage } from "./transfer-garbage.ts";

/** So much of the disk stays free for everything else that a node writes. */
const RESERVE_BYTES = 64 * 1024 * 1024;
/** How much is written between two looks at the disk. */
const LOOK_EVERY_BYTES = 16 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;

export interface Blob {
  /** `sha256:…` */
  digest: string;
  size: number;
}

export interface ByteRange {
  start: number;
  /** The first byte that is not a part of it. */
  end: number;
}

/**
 * Blobs by their digest, in files: `blobs/sha256/HEX`. A blob is written under another name beside
 * its place, hashed as it comes, flushed to the disk and put in its place at once, so that what has
 * a digest for its name is whole, whenever the power goes.
 */
export class BlobStore {
  readonly #dir: string;
  readonly #reserveBytes: number;
  readonly #garbage = new TransferGarbage();

  private constructor(dir: string, reserveBytes: number) {
    this.#dir = dir;
    this.#reserveBytes = reserveBytes;
  }

  /**
   * Opens the blobs below `dir`, and makes what is missing of it. What was being written when an
   * earlier life ended is removed; what was being fetched stays, to be gone on with.
   * @throws OrchdError `noSpace`, `invalid`
   */
  static async open(dir: string, reserveBytes = RESERVE_BYTES): Promise<BlobStore> {
    const store = new BlobStore(dir, reserveBytes);
    await store.#attempt(async () => {
      await fs.rm(join(dir, "drafts"), { recursive: true, force: true });
      for (const name of ["blobs/sha256", "drafts", "partial"]) {
        await fs.mkdir(join(dir, name), { recursive: true, mode: 0o700 });
      }
    });
    return store;
  }

  /** Where a blob is, or would be. */
  pathOf(digest: string): string {
    return join(this.#dir, "blobs/sha256", digest.slice("sha256:".length));
  }

  /** Undefined for one that is not here. */
  async sizeOf(digest: string): Promise<number | undefined> {
    try {
      return (await fs.stat(this.pathOf(digest))).size;
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return undefined;
      throw this.#classify(error);
    }
  }

  /** All blobs. */
  async list(): Promise<string[]> {
    const names = await fs.readdir(join(this.#dir, "blobs/sha256"));
    return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`);
  }

  /** Undefined for one that is not here, or is larger than `bytesMax`. */
  async readSmall(digest: string, bytesMax: number): Promise<Buffer | undefined> {
    const size = await this.sizeOf(digest);
    if (size === undefined || size > bytesMax) return undefined;
    try {
      return await fs.readFile(this.pathOf(digest));
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return undefined;
      throw this.#classify(error);
    }
  }

  /**
   * A blob's bytes as they are asked for; one that is here stays readable until the end.
   * @param part.isReused whether a piece is good only until the next one is asked for
   */
  async *read(
    digest: string,
    part: Partial<ByteRange> & { isReused?: boolean } = {},
  ): AsyncGenerator<Uint8Array> {
    const file = await this.#attempt(() => fs.open(this.pathOf(digest), "r"));
    const buffer = part.isReused === true ? new Uint8Array(PIECE_BYTES) : undefined;
    try {
      const end = part.end ?? (await file.stat()).size;
      for (let at = part.start ?? 0; at < end;) {
        const length = Math.min(PIECE_BYTES, end - at);
        const piece = buffer?.subarray(0, length) ?? new Uint8Array(length);
        const { bytesRead } = await this.#attempt(() => file.read(piece, 0, piece.length, at));
        if (bytesRead === 0) throw new OrchdError("damaged", `the blob ${digest} is cut off`);
        at += bytesRead;
        yield piece.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  /** Begins a blob whose digest is not known yet, or not believed. */
  draft(): Promise<Draft> {
    return this.#open(join(this.#dir, "drafts", randomUUID()), "wx+");
  }

  /**
   * Goes on with a blob that is being fetched, from where an earlier try left it; `discard` leaves
   * it there once more. One fetch of a digest at a time.
   */
  async resume(digest: string): Promise<Draft> {
    const path = this.#partialOf(digest);
    const flags = constants.O_RDWR | constants.O_CREAT;
    const draft = await this.#open(path, flags, true);
    await draft.takeUp();
    return draft;
  }

  /** At once, so that nobody can ask for it in between. */
  remove(digest: string): void {
    rmSync(this.pathOf(digest), { force: true });
  }

  /**
   * What comes of a blob that is being fetched, from a byte on, until it is complete; a piece is
   * good until the next one is asked for.
   * @param options.isHeldBack whether the last byte there is stays back until the blob is complete
   */
  async *follow(
    digest: string,
    from: number,
    live: LiveBlob,
    { isHeldBack = false }: { isHeldBack?: boolean } = {},
  ): AsyncGenerator<Uint8Array> {
    const file = await this.#attempt(async () => {
      try {
        return await fs.open(this.#partialOf(digest), "r");
      } catch (error) {
        // It has been put in its place.
        if (systemCodeOf(error) !== "ENOENT") throw error;
        return fs.open(this.pathOf(digest), "r");
      }
    });
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      for (let at = from; ;) {
        const there = await live.beyond(at, isHeldBack ? 1 : 0);
        if (there === undefined) return;
        const piece = buffer.subarray(0, Math.min(PIECE_BYTES, there - at));
        const { bytesRead } = await this.#attempt(() => file.read(piece, 0, piece.length, at));
        if (bytesRead === 0) throw new OrchdError("damaged", `the blob ${digest} is cut off`);
        at += bytesRead;
        yield piece.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  /** What was being fetched and is not any more. */
  async removePartial(digest: string): Promise<void> {
    await this.#attempt(() => fs.rm(this.#partialOf(digest), { force: true }));
  }

  /** Removes all blobs that were fetched in part, except those of these digests. */
  async removePartials(keep: ReadonlySet<string>): Promise<void> {
    for (const name of await fs.readdir(join(this.#dir, "partial"))) {
      if (!keep.has(`sha256:${name}`)) await this.removePartial(`sha256:${name}`);
    }
  }

  /** @throws OrchdError `noSpace` when less than the reserve would be left */
  async requireRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await this.#attempt(() => fs.statfs(this.#dir));
    const free = bavail * bsize;
    if (free - bytes >= this.#reserveBytes) return;
    throw new OrchdError(
      "noSpace",
      `the disk has no room for the image (${formatBytes(free)} are free): make room there`,
      { retryable: true },
    );
  }

  #partialOf(digest: string): string {
    return join(this.#dir, "partial", digest.slice("sha256:".length));
  }

  async #open(path: string, flags: string | number, stays = false): Promise<Draft> {
    await this.requireRoom(0);
    const file = await this.#attempt(() => fs.open(path, flags, 0o600));
    return new Draft({
      file,
      path,
      stays,
      requireRoom: () => this.requireRoom(LOOK_EVERY_BYTES),
      onWritten: (bytes) => this.#garbage.note(bytes),
      placeOf: (digest) => this.pathOf(digest),
      attempt: (work) => this.#attempt(work),
    });
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#classify(error);
    }
  }

  #classify(cause: unknown): unknown {
    const code = systemCodeOf(cause);
    if (code === undefined || cause instanceof OrchdError) return cause;
    if (code === "ENOENT") return new OrchdError("notFound", "there is no such blob", { cause });
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    const message = isFull
      ? "the disk is full: make room for images there"
      : `images can't be kept in ${this.#dir}`;
    return new OrchdError(isFull ? "noSpace" : "internal", message, { cause });
  }
}

/** How far a blob is that is being fetched, for those who pass it on meanwhile. */
export class LiveBlob {
  #bytes: number;
  #end: "whole" | "broken" | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  grow(bytes: number): void {
    this.#bytes = bytes;
    this.#wake();
  }

  /** The first word counts. */
  end(isWhole: boolean): void {
    this.#end ??= isWhole ? "whole" : "broken";
    this.#wake();
  }

  /**
   * Resolves to how many bytes are there once they are more than `at`, or to undefined when it is
   * whole and has no more.
   * @param heldBack so many bytes count only when it is whole
   * @throws OrchdError `unreachable` (retryable) when no more comes
   */
  async beyond(at: number, heldBack = 0): Promise<number | undefined> {
    for (;;) {
      const there = this.#end === "whole" ? this.#bytes : this.#bytes - heldBack;
      if (there > at) return there;
      if (this.#end === "whole") return undefined;
      if (this.#end === "broken") {
        throw new OrchdError("unreachable", "no more of the blob comes", { retryable: true });
      }
      await new Promise<void>((wake) => this.#waiting.add(wake));
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

interface DraftOptions {
  file: fs.FileHandle;
  path: string;
  /** Whether what was written stays when the draft is given up. */
  stays: boolean;
  requireRoom: () => Promise<void>;
  onWritten: (bytes: number) => void;
  placeOf: (digest: string) => string;
  attempt: <T>(work: () => Promise<T>) => Promise<T>;
}

/** A blob that is being written. It ends with `commit` or `discard`. */
export class Draft {
  readonly #options: DraftOptions;
  #hash: Hash = createHash("sha256");
  #bytes = 0;
  #unlooked = 0;
  #isOpen = true;

  constructor(options: DraftOptions) {
    this.#options = options;
  }

  /** How much of it is there. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts and hashes what the file has already. */
  async takeUp(): Promise<void> {
    const { file, attempt } = this.#options;
    const piece = new Uint8Array(PIECE_BYTES);
    for (;;) {
      const { bytesRead } = await attempt(() => file.read(piece, 0, piece.length, this.#bytes));
      if (bytesRead === 0) return;
      this.#hash.update(piece.subarray(0, bytesRead));
      this.#bytes += bytesRead;
    }
  }

  /** @throws OrchdError `noSpace` */
  async write(bytes: Uint8Array): Promise<void> {
    const { file, attempt, requireRoom } = this.#options;
    this.#unlooked += bytes.length;
    if (this.#unlooked >= LOOK_EVERY_BYTES) {
      await requireRoom();
      this.#unlooked = 0;
    }
    for (let at = 0; at < bytes.length;) {
      const rest = bytes.length - at;
      const { bytesWritten } = await attempt(() => file.write(bytes, at, rest, this.#bytes));
      // Only what is there: whoever goes on after a full disk goes on behind that.
      this.#hash.update(bytes.subarray(at, at + bytesWritten));
      at += bytesWritten;
      this.#bytes += bytesWritten;
    }
    this.#options.onWritten(bytes.length);
  }

  /**
   * Puts the blob in its place; it is durable when this resolves.
   * @param expected what it must be; nothing of another one stays
   * @param onDigest hears what it is before it is in its place
   * @throws OrchdError `damaged` when it is something else, `noSpace`
   */
  async commit(expected?: string, onDigest: (digest: string) => void = () => {}): Promise<Blob> {
    const { file, path, placeOf, attempt } = this.#options;
    const digest = `sha256:${this.#hash.digest("hex")}`;
    try {
      if (expected !== undefined && digest !== expected) {
        const what = `what came is ${digest}, ${this.#bytes} bytes`;
        throw new OrchdError("damaged", `${what}, and not ${expected}`);
      }
      await attempt(() => file.sync());
      const place = placeOf(digest);
      onDigest(digest);
      await attempt(() => fs.rename(path, place));
      await attempt(() => syncFolderOf(place));
      return { digest, size: this.#bytes };
    } catch (error) {
      await fs.rm(path, { force: true });
      throw error;
    } finally {
      await this.#close();
    }
  }

  /** Gives up. Nothing of it stays, except of a fetch that may be gone on with. */
  async discard(): Promise<void> {
    if (!this.#isOpen) return;
    await this.#close();
    if (!this.#options.stays) await fs.rm(this.#options.path, { force: true });
  }

  /** Forgets all that was written, so that it begins anew. */
  async restart(): Promise<void> {
    const { file, attempt } = this.#options;
    await attempt(() => file.truncate(0));
    this.#hash = createHash("sha256");
    this.#bytes = 0;
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#options.file.close();
  }
}

/** Makes a change of names in the folder durable. */
export async function syncFolderOf(path: string): Promise<void> {
  const folder = await fs.open(join(path, ".."), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
