/** One machine asks three times; several of them may look from behind one address. */
const PER_ADDRESS = 10;
/** A site whose power came back looks all at once; a flood has more. At most 1 Mbit/s goes out. */
const IN_ALL = 200;

/** Answers a second: to one address, so that it takes nothing from the others, and to all. */
export class AnswerLimit {
  #second = 0;
  #taken = 0;
  readonly #byAddress = new Map<string, number>();

  /**
   * Whether one more may be given; it counts then.
   * @param now milliseconds since 1970
   */
  takes(address: string, now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#taken = 0;
      this.#byAddress.clear();
    }
    const before = this.#byAddress.get(address) ?? 0;
    if (before >= PER_ADDRESS || this.#taken >= IN_ALL) return false;
    this.#byAddress.set(address, before + 1);
    this.#taken += 1;
    return true;
  }
}
