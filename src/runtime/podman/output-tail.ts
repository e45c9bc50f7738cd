/** A command that prints more is ended: whoever runs it wants its last words alone. */
const PRINTED_BYTES_MAX = 1024 * 1024;

/** The end of what a command prints, of both of its streams as it comes. */
export class OutputTail {
  readonly #bytesMax: number;
  #kept = Buffer.alloc(0);
  #printed = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** It has printed far too much. */
  get isFlooded(): boolean {
    return this.#printed > PRINTED_BYTES_MAX;
  }

  text(): string {
    return new TextDecoder().decode(this.#kept);
  }

  add(bytes: Uint8Array): void {
    this.#printed += bytes.length;
    const joined = Buffer.concat([this.#kept, bytes.subarray(-this.#bytesMax)]);
    this.#kept = Buffer.from(joined.subarray(-this.#bytesMax));
  }
}
