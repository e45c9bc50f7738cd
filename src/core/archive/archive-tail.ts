import type { Hasher } from "./archive-reader.ts";
import { joined, byteStringOf } from "./bytes.ts";
import { type Contents, parseTrailer, TRAILER_BYTES } from "./seal.ts";

/**
 * Tells whether an archive of ours that passes by is complete and unaltered, without looking at
 * what it holds.
 */
export class ArchiveTail {
  readonly #hasher: Hasher;
  /** The latest bytes: the trailer, if nothing comes any more. */
  #held: Uint8Array = new Uint8Array();

  constructor(hasher: Hasher) {
    this.#hasher = hasher;
  }

  push(bytes: Uint8Array): void {
    const all = joined([this.#held, bytes]);
    const passed = Math.max(0, all.length - TRAILER_BYTES);
    if (passed > 0) this.#hasher.update(all.subarray(0, passed));
    this.#held = all.slice(passed);
  }

  /** What is in it; undefined when it is cut off or altered. Asked for once. */
  finish(): Contents | undefined {
    const [, comment] = / comment=([^\n]*)\n/.exec(byteStringOf(this.#held)) ?? [];
    const contents = parseTrailer(comment);
    return contents?.sha256 === this.#hasher.digest() ? contents : undefined;
  }
}
