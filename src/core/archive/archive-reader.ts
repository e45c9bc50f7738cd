import { BLOCK_BYTES, type Block, decodeBlock, isZero, paddingOf } from "./block.ts";
import { joined, shownName } from "./bytes.ts";
import { GLOBAL_TYPE, PAX_TYPE } from "./encode-entry.ts";
import type { ArchiveEntry } from "./entry.ts";
import { decodeEntry } from "./decode-entry.ts";
import { decodePax, PAX_BYTES_MAX, type PaxRecords } from "./pax.ts";
import {
  ARCHIVE_VERSION,
  type ArchiveKind,
  type Contents,
  extendCrc32,
  parseBeginning,
  parseTrailer,
} from "./seal.ts";

/** What computes a digest, step by step. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** In hexadecimal digits; asked for once. */
  digest(): string;
}

export interface ArchiveLimits {
  /** Members of the tree. */
  entriesMax: number;
  /** Content of all files together. */
  bytesMax: number;
}

export type ArchiveEvent =
  | { type: "entry"; entry: ArchiveEntry }
  /** A piece of the content of the file that came last. */
  | { type: "data"; bytes: Uint8Array }
  /** All of it was there, and none of it was altered. */
  | { type: "end"; contents: Contents }
  /** Why it is refused, in a sentence without its full stop. Nothing comes after it. */
  | { type: "problem"; message: string };

type Events = Generator<ArchiveEvent, void, void>;

type Waiting = "block" | "pax" | "content" | "padding" | "nothing";

const CUT = "the archive is cut off: it has no end";
const DAMAGED = "the archive is damaged";

/**
 * Reads one of our archives piece by piece, and believes nothing: whoever gets its events may obey
 * each of them, but for a tree that is only complete and sound once `end` has come.
 */
export class ArchiveReader {
  readonly #kind: ArchiveKind;
  readonly #hasher: Hasher;
  readonly #limits: ArchiveLimits;
  /** The beginning of the block or header that is under way. */
  readonly #gathered: Uint8Array[] = [];
  #waiting: Waiting = "block";
  /** Bytes that still belong to what is waited for. */
  #missing = BLOCK_BYTES;
  /** Whether the pax header is for the whole archive. */
  #isGlobal = false;
  #padding = 0;
  #records: PaxRecords = new Map();
  #hasBegun = false;
  #contents: Contents | undefined;
  /** Zero blocks after the trailer. */
  #zeros = 0;
  #crc32 = 0;
  #entries = 0;
  #bytes = 0;
  #hasFailed = false;

  constructor(kind: ArchiveKind, hasher: Hasher, limits: ArchiveLimits) {
    this.#kind = kind;
    this.#hasher = hasher;
    this.#limits = limits;
  }

  /** What the next bytes of the archive tell. Data events are parts of `chunk`. */
  *push(chunk: Uint8Array): Events {
    let rest = chunk;
    while (rest.length > 0 && !this.#hasFailed) {
      if (this.#waiting === "nothing") return yield this.#fail("the archive goes on after its end");
      const piece = rest.subarray(0, this.#missing);
      rest = rest.subarray(piece.length);
      this.#missing -= piece.length;
      if (this.#waiting === "content") {
        this.#pass(piece);
        yield { type: "data", bytes: piece };
      } else this.#gathered.push(piece);
      if (this.#missing > 0) continue;
      for (const event of this.#complete()) {
        yield event;
        if (event.type === "problem") return;
      }
    }
    // The pieces that wait for more belong to the caller's buffer.
    this.#gathered.splice(0, this.#gathered.length, ...this.#gathered.map((p) => p.slice()));
  }

  /** To be asked when nothing more comes. */
  finish(): Extract<ArchiveEvent, { type: "end" | "problem" }> {
    if (this.#hasFailed) return { type: "problem", message: DAMAGED };
    if (this.#waiting !== "nothing" || this.#contents === undefined) return this.#fail(CUT);
    return { type: "end", contents: this.#contents };
  }

  *#complete(): Events {
    const bytes = joined(this.#gathered);
    this.#gathered.length = 0;
    switch (this.#waiting) {
      case "block":
        return yield* this.#onBlock(bytes);
      case "pax":
        return yield* this.#onPax(bytes);
      case "content":
        return this.#await(this.#padding === 0 ? "block" : "padding", this.#padding);
      case "padding":
        if (!isZero(bytes)) return yield this.#fail(DAMAGED);
        this.#pass(bytes);
        return this.#await("block");
      case "nothing":
        return;
    }
  }

  #pass(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
    this.#crc32 = extendCrc32(this.#crc32, bytes);
  }

  #await(waiting: Waiting, bytes = 0): void {
    this.#waiting = waiting;
    this.#missing = waiting === "block" ? BLOCK_BYTES : bytes;
  }

  *#onBlock(bytes: Uint8Array): Events {
    if (this.#contents !== undefined) return yield* this.#onEnd(bytes);
    const block = decodeBlock(bytes);
    if (block === undefined) {
      return yield this.#fail(isZero(bytes) ? CUT : this.#hasBegun ? DAMAGED : this.#foreign());
    }
    if (block.type === GLOBAL_TYPE || block.type === PAX_TYPE) {
      const isTrailer = block.type === GLOBAL_TYPE && this.#hasBegun;
      if (!isTrailer) this.#pass(bytes);
      return yield* this.#beginPax(block);
    }
    this.#pass(bytes);
    return yield* this.#onEntry(block);
  }

  *#beginPax({ type, size }: Block): Events {
    if (size === 0 || size > PAX_BYTES_MAX || this.#records.size > 0) {
      return yield this.#fail(DAMAGED);
    }
    this.#isGlobal = type === GLOBAL_TYPE;
    this.#padding = paddingOf(size);
    this.#await("pax", size + this.#padding);
  }

  *#onPax(bytes: Uint8Array): Events {
    const end = bytes.length - this.#padding;
    const records = decodePax(bytes.subarray(0, end));
    if (records === undefined || !isZero(bytes.subarray(end))) return yield this.#fail(DAMAGED);
    this.#await("block");
    if (!this.#isGlobal) {
      if (!this.#hasBegun) return yield this.#fail(this.#foreign());
      this.#pass(bytes);
      this.#records = records;
      return;
    }
    const comment = records.get("comment");
    if (this.#hasBegun) return yield* this.#onTrailer(comment);
    this.#pass(bytes);
    return yield* this.#onBeginning(comment);
  }

  *#onBeginning(comment: string | undefined): Events {
    const beginning = parseBeginning(comment);
    if (beginning === undefined) return yield this.#fail(this.#foreign());
    const { kind, version } = beginning;
    if (kind !== this.#kind) {
      return yield this.#fail(`the archive is a ${kind}, and no ${this.#kind}`);
    }
    if (version > ARCHIVE_VERSION) {
      return yield this.#fail("the archive was made by a newer orchd: use that version or a later");
    }
    this.#hasBegun = true;
  }

  *#onTrailer(comment: string | undefined): Events {
    const trailer = parseTrailer(comment);
    if (trailer === undefined) return yield this.#fail(DAMAGED);
    const { contents } = trailer;
    const { sha256, entries, bytes } = contents;
    const isAll = entries === this.#entries && bytes === this.#bytes;
    const isSound = isAll && trailer.goesWith(this.#crc32) !== false;
    if (!isSound || sha256 !== this.#hasher.digest()) {
      return yield this.#fail("the archive was altered: its checksum is another one");
    }
    this.#contents = contents;
  }

  *#onEnd(bytes: Uint8Array): Events {
    if (!isZero(bytes)) return yield this.#fail(DAMAGED);
    this.#zeros += 1;
    this.#await(this.#zeros === 2 ? "nothing" : "block");
  }

  *#onEntry(block: Block): Events {
    if (!this.#hasBegun) return yield this.#fail(this.#foreign());
    const parsed = decodeEntry(block, this.#records);
    this.#records = new Map();
    if (!parsed.ok) return yield this.#fail(parsed.problem);
    const { value: entry } = parsed;
    this.#entries += 1;
    this.#bytes += entry.size;
    if (this.#entries > this.#limits.entriesMax) {
      return yield this.#fail(`the archive has more than ${this.#limits.entriesMax} files`);
    }
    if (this.#bytes > this.#limits.bytesMax) {
      const what = shownName(entry.path);
      return yield this.#fail(`the archive holds more than there is room for, at ${what}`);
    }
    yield { type: "entry", entry };
    this.#padding = paddingOf(entry.size);
    if (entry.size > 0) this.#await("content", entry.size);
    else this.#await("block");
  }

  #foreign(): string {
    return `this is no ${this.#kind} that orchd made`;
  }

  #fail(message: string): Extract<ArchiveEvent, { type: "problem" }> {
    this.#hasFailed = true;
    return { type: "problem", message };
  }
}
