/** One entry of a timer queue; it is cancelled by the queue it came from. */
export interface Timer<T> {
  readonly at: number;
  /** Which of two timers of one time was set first. */
  readonly order: number;
  /** Nothing once it was taken or cancelled. */
  value: T | undefined;
}

/** What is to happen when, as a binary heap: adding and taking cost the logarithm of its size. */
export class TimerQueue<T> {
  readonly #heap: Timer<T>[] = [];
  #order = 0;

  add(at: number, value: T): Timer<T> {
    const timer: Timer<T> = { at, order: this.#order++, value };
    this.#heap.push(timer);
    this.#rise(this.#heap.length - 1);
    return timer;
  }

  /** Entries that were cancelled leave the heap when their time comes. */
  cancel(timer: Timer<T> | undefined): void {
    if (timer !== undefined) timer.value = undefined;
  }

  /** The time of the next timer. */
  nextAt(): number | undefined {
    this.#dropCancelled();
    return this.#heap[0]?.at;
  }

  /** The next value whose time has come by `now`; timers of one time come in the order set. */
  takeDue(now: number): T | undefined {
    this.#dropCancelled();
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    const { value } = first;
    first.value = undefined;
    this.#pop();
    return value;
  }

  #dropCancelled(): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.value !== undefined) return;
      this.#pop();
    }
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    const heap = this.#heap;
    const moving = heap[start];
    if (moving === undefined) return;
    let at = start;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, moving)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = moving;
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const moving = heap[start];
    if (moving === undefined) return;
    let at = start;
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const least = isRight ? right : left;
      if (isBefore(moving, least)) break;
      heap[at] = least;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = moving;
  }
}

function isBefore<T>(a: Timer<T>, b: Timer<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
