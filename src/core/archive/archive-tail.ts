import { joined, byteStringOf } from "./bytes.ts";
import { type Contents, extendCrc32, parseTrailer, TRAILER_BYTES } from "./seal.ts";

/**
 * Tells whether an archive of ours that passes by is complete and unaltered, without looking at
 * what it holds. It looks at the CRC alone, which costs a thirtieth of the SHA-256: that one is for
 * those who take the archive apart, after disks and networks had it.
 */
export class ArchiveTail {
  #crc32 = 0;
  /** The latest bytes: the trailer, if nothing comes any more. */
  #held: Uint8Array = new Uint8Array();

  push(bytes: Uint8Array): void {
    const passed = Math.max(0, this.#held.length + bytes.length - TRAILER_BYTES);
    const ofHeld = Math.min(passed, this.#held.length);
    this.#crc32 = extendCrc32(this.#crc32, this.#held.subarray(0, ofHeld));
    this.#crc32 = extendCrc32(this.#crc32, bytes.subarray(0, passed - ofHeld));
    this.#held = joined([this.#held.subarray(ofHeld), bytes.subarray(passed - ofHeld)]);
  }

  /** What is in it; undefined when it is cut off or altered. Asked for once. */
  finish(): Contents | undefined {
    const [, comment] = / comment=([^\n]*)\n/.exec(byteStringOf(this.#held)) ?? [];
    const trailer = parseTrailer(comment);
    return trailer?.goesWith(this.#crc32) === true ? trailer.contents : undefined;
  }
}
