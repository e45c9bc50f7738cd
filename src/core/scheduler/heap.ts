/** Whether the first of two goes before the second; never both ways, and total. */
export type Before = (a: number, b: number) => boolean;

const ROOM_FIRST = 8;

/** A binary heap of small whole numbers, which stand for whatever `before` compares. */
export class Heap {
  #items: Int32Array;
  #size: number;
  readonly #before: Before;

  /** Takes `items` for its own. They are in order after `order`. */
  constructor(before: Before, items: Int32Array = new Int32Array(0)) {
    this.#items = items;
    this.#size = items.length;
    this.#before = before;
  }

  get size(): number {
    return this.#size;
  }

  /** The one that goes before all others. */
  top(): number | undefined {
    return this.#size === 0 ? undefined : this.#items[0];
  }

  /** Adds one wherever there is room: `order` has to follow before anything else. */
  append(item: number): void {
    if (this.#size === this.#items.length) this.#grow();
    this.#items[this.#size++] = item;
  }

  /** Brings all into order, in linear time. */
  order(): void {
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  push(item: number): void {
    this.append(item);
    const items = this.#items;
    let at = this.#size - 1;
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
    if (this.#size === 0) return;
    this.#size -= 1;
    this.#items[0] = this.#items[this.#size] ?? 0;
    this.#sink(0);
  }

  /** Brings the top to its place after it has changed. */
  fixTop(): void {
    this.#sink(0);
  }

  #grow(): void {
    const items = new Int32Array(Math.max(ROOM_FIRST, 2 * this.#size));
    items.set(this.#items);
    this.#items = items;
  }

  #sink(from: number): void {
    const items = this.#items;
    const before = this.#before;
    const size = this.#size;
    if (from >= size) return;
    const item = items[from] ?? 0;
    let at = from;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      let least = items[child] ?? 0;
      if (child + 1 < size) {
        const right = items[child + 1] ?? 0;
        if (before(right, least)) {
          least = right;
          child += 1;
        }
      }
      if (!before(least, item)) break;
      items[at] = least;
      at = child;
    }
    items[at] = item;
  }
}
