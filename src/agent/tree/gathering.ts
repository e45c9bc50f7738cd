/**
 * Makes pieces of one size of many small ones. What comes out is the caller's own: nothing that was
 * put in is kept or handed on.
 */
export class Gathering {
  readonly #size: number;
  #piece: Uint8Array;
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
    const full = this.#piece;
    this.#piece = new Uint8Array(this.#size);
    this.#filled = 0;
    yield full;
  }

  /** What is left at the end. */
  *rest(): Generator<Uint8Array, void, void> {
    const { length } = this.#piece.subarray(0, this.#filled);
    if (length > 0) yield this.#piece.slice(0, length);
    this.#filled = 0;
  }
}
