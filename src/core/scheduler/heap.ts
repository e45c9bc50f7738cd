/** Whether the first of two goes before the second; never both ways, and total. */
export type Before = (a: number, b: number) => boolean;

/** A binary heap of small whole numbers, which stand for whatever `before` compares. */
export class Heap {
  readonly #items: number[];
  readonly #before: Before;

  /** Takes `items` for its own, and orders them in linear time. */
  constructor(items: number[], before: Before) {
    this.#items = items;
    this.#before = before;
    for (let at = (items.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  get size(): number {
    return this.#items.length;
  }

  /** The one that goes before all others. */
  top(): number | undefined {
    return this.#items[0];
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] ?? item;
      if (!this.#before(item, above)) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  dropTop(): void {
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return;
    this.#items[0] = last;
    this.#sink(0);
  }

  /** Brings the top to its place after it has changed. */
  fixTop(): void {
    if (this.#items.length > 1) this.#sink(0);
  }

  #sink(from: number): void {
    const items = this.#items;
    const before = this.#before;
    const { length } = items;
    const item = items[from] ?? 0;
    let at = from;
    for (let child = 2 * at + 1; child < length; child = 2 * at + 1) {
      let least = items[child] ?? item;
      const right = items[child + 1];
      if (right !== undefined && before(right, least)) {
        least = right;
        child += 1;
      }
      if (!before(least, item)) break;
      items[at] = least;
      at = child;
    }
    items[at] = item;
  }
}
