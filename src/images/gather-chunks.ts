import type { ByteRange } from "./blob-store.ts";

export const CHUNK_BYTES = 1024 * 1024;
/** So far ahead of what is taken chunks are asked for: they wait in memory. */
const AHEAD_BYTES = 8 * CHUNK_BYTES;

/** Why a giver is ended that held up all others. */
export const LATE = "late";

/** One who has all of a blob. */
export interface ChunkGiver {
  /** That very part, or it rejects and is asked for no other one. `signal` ends it, see `LATE`. */
  chunk(range: ByteRange, signal: AbortSignal): Promise<Uint8Array>;
}

/**
 * A part of a blob in its order, in chunks from several givers at once. Who is quicker gives more;
 * one that fails, or holds up all others, gives no more, and its chunk comes from another one.
 * @throws what a giver failed with, once none is left
 */
export function gatherChunks(
  range: ByteRange,
  givers: readonly ChunkGiver[],
): AsyncGenerator<Uint8Array> {
  return new Gathering(range, givers).chunks();
}

class Gathering {
  readonly #givers: readonly ChunkGiver[];
  readonly #end: number;
  /** The byte that is to be taken next. */
  #head: number;
  /** From here on nothing has been asked for. */
  #fresh: number;
  /** Where chunks begin that are to be asked for again. */
  readonly #again: number[] = [];
  readonly #asked = new Map<number, AbortController>();
  readonly #here = new Map<number, Uint8Array>();
  readonly #waiting = new Set<() => void>();
  #left: number;
  #problem: unknown;
  #isOver = false;

  constructor({ start, end }: ByteRange, givers: readonly ChunkGiver[]) {
    this.#givers = givers;
    this.#left = givers.length;
    this.#head = start;
    this.#fresh = start;
    this.#end = end;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const lanes = this.#givers.map((giver) => this.#askOn(giver));
    try {
      while (this.#head < this.#end) {
        const chunk = this.#here.get(this.#head);
        if (chunk !== undefined) {
          yield chunk;
          this.#here.delete(this.#head);
          this.#head += chunk.length;
          this.#wake();
        } else if (this.#left === 0) throw this.#problem;
        else await this.#change();
      }
    } finally {
      this.#isOver = true;
      for (const controller of this.#asked.values()) controller.abort();
      this.#wake();
      await Promise.all(lanes);
    }
  }

  /** Asks one giver for chunk after chunk, until all is there or it fails. */
  async #askOn(giver: ChunkGiver): Promise<void> {
    for (let start = this.#next(); !this.#isOver; start = this.#next()) {
      if (start === undefined) {
        await this.#change();
        continue;
      }
      const controller = new AbortController();
      this.#asked.set(start, controller);
      const end = Math.min(start + CHUNK_BYTES, this.#end);
      try {
        this.#here.set(start, await giver.chunk({ start, end }, controller.signal));
      } catch (error) {
        this.#problem = error;
        this.#left -= 1;
        // Unless another one was asked for it instead.
        if (this.#asked.get(start) === controller) this.#again.push(start);
        return;
      } finally {
        if (this.#asked.get(start) === controller) this.#asked.delete(start);
        this.#wake();
      }
    }
  }

  /** Which chunk whoever is idle is to be asked for; undefined where it is to wait. */
  #next(): number | undefined {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    if (this.#fresh === this.#end) return undefined;
    if (this.#fresh < this.#head + AHEAD_BYTES) {
      const start = this.#fresh;
      this.#fresh = Math.min(start + CHUNK_BYTES, this.#end);
      return start;
    }
    // Everybody else has come so far that only the giver of this one holds them up.
    const late = this.#asked.get(this.#head);
    late?.abort(LATE);
    return late && this.#head;
  }

  #change(): Promise<void> {
    return new Promise((wake) => this.#waiting.add(wake));
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
