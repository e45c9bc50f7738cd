import { ChunkScanner } from "../../core/ingress/chunk-scanner.ts";
import type { BodyLength } from "../../core/ingress/framing.ts";

/** The empty line behind the last chunk. */
const CHUNKS_END = Buffer.from("\r\n");

/** A body on its way: cuts it out of what comes, and knows when it has ended. */
export class BodyFeed {
  readonly #scanner: ChunkScanner | undefined;
  #left: number;
  #bytes = 0;

  constructor(length: BodyLength) {
    this.#scanner = length === "chunked" ? new ChunkScanner() : undefined;
    this.#left = typeof length === "number" ? length : Infinity;
  }

  get isDone(): boolean {
    return this.#scanner?.isDone ?? this.#left === 0;
  }

  /** Whether what came is no body of this kind. */
  get isBroken(): boolean {
    return this.#scanner?.isBroken ?? false;
  }

  /** Bytes of the body so far. */
  get bytes(): number {
    return this.#scanner?.dataBytes ?? this.#bytes;
  }

  /** The part of the bytes that goes on, and what stands behind the body's end. */
  take(bytes: Buffer): { part: Buffer; rest: Buffer } {
    if (this.#scanner === undefined) {
      const count = Math.min(this.#left, bytes.length);
      this.#left -= count;
      this.#bytes += count;
      // Most of what comes is all body, or the end of it.
      if (count === bytes.length) return { part: bytes, rest: NOTHING };
      return { part: bytes.subarray(0, count), rest: bytes.subarray(count) };
    }
    this.#scanner.scan(bytes);
    const { passed, consumed, isDone } = this.#scanner;
    const part = bytes.subarray(0, passed);
    return {
      part: isDone ? Buffer.concat([part, CHUNKS_END]) : part,
      rest: bytes.subarray(consumed),
    };
  }
}

export const NOTHING = Buffer.alloc(0);
