import type { Hasher } from "./archive-reader.ts";
import { paddingOf } from "./block.ts";
import { encodeEntry } from "./encode-entry.ts";
import type { ArchiveEntry } from "./entry.ts";
import { type ArchiveKind, encodeBeginning, encodeTrailer, extendCrc32 } from "./seal.ts";

/**
 * Writes an archive in order: `begin`, then for each member `entry`, its content through `data`,
 * and `padding`; last `end`. Each answers the bytes to write.
 */
export class ArchiveWriter {
  readonly #kind: ArchiveKind;
  readonly #hasher: Hasher;
  #crc32 = 0;
  #entries = 0;
  #bytes = 0;

  constructor(kind: ArchiveKind, hasher: Hasher) {
    this.#kind = kind;
    this.#hasher = hasher;
  }

  begin(): Uint8Array {
    return this.data(encodeBeginning(this.#kind));
  }

  entry(entry: ArchiveEntry): Uint8Array {
    this.#entries += 1;
    this.#bytes += entry.size;
    return this.data(encodeEntry(entry));
  }

  /** The very bytes that it is given, which count. */
  data(bytes: Uint8Array): Uint8Array {
    this.#hasher.update(bytes);
    this.#crc32 = extendCrc32(this.#crc32, bytes);
    return bytes;
  }

  /** What follows so much content. */
  padding(size: number): Uint8Array {
    return this.data(new Uint8Array(paddingOf(size)));
  }

  end({ changed, skipped }: { changed: number; skipped: number }): Uint8Array {
    const counts = { entries: this.#entries, bytes: this.#bytes, changed, skipped };
    return encodeTrailer({ sha256: this.#hasher.digest(), ...counts }, this.#crc32);
  }
}
