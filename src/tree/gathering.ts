/**
 * Makes pieces of one size of many small ones, all of them in the same memory: fresh memory for
 * each takes longer than to read it full. A piece is good until more is put in.
 */
export class Gathering {
  readonly #size: number;
  readonly #piece: Uint8Array;
  #filled = 0;

  constructor(size: number) {
    this.#size = size;
    this.#piece = new Uint8Array(size);
  }

  /** Pieces that are full now. */
  *add(bytes: Uint8Array): Generator<Uint8Array, void, void> {
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, this.#size - this.#filled);
      this.#piece.set(part, this.#filled);
      rest = rest.subarray(part.length);
      yield* this.filled(part.length);
    }
  }

  /** Where bytes may be put without a copy, to be told of with `filled`; never empty. */
  space(): Uint8Array {
    return this.#piece.subarray(this.#filled);
  }

  /** So many bytes of the space have been filled; answers the piece if it is full now. */
  *filled(length: number): Generator<Uint8Array, void, void> {
    this.#filled += length;
    if (this.#filled < this.#size) return;
    this.#filled = 0;
    yield this.#piece;
  }

  /** What is left at the end. */
  *rest(): Generator<Uint8Array, void, void> {
    if (this.#filled > 0) yield this.#piece.subarray(0, this.#filled);
    this.#filled = 0;
  }
}
