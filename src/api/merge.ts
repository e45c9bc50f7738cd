/** Merges streams that are each in order of `keyOf`; holds one item of each at a time. */
export async function* mergeSorted<T>(
  streams: readonly AsyncIterable<T>[],
  keyOf: (item: T) => number,
): AsyncGenerator<T> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  try {
    const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
    for (;;) {
      const next = indexOfFirst(heads, keyOf);
      const head = heads[next];
      const iterator = iterators[next];
      if (head === undefined || head.done === true || iterator === undefined) return;
      yield head.value;
      heads[next] = await iterator.next();
    }
  } finally {
    await Promise.all(iterators.map(async (iterator) => iterator.return?.()));
  }
}

/** Of equal keys the earlier stream comes first; -1 when all have ended. */
function indexOfFirst<T>(heads: readonly IteratorResult<T>[], keyOf: (item: T) => number): number {
  let first = -1;
  let lowest = Infinity;
  for (const [index, head] of heads.entries()) {
    if (head.done === true || keyOf(head.value) >= lowest) continue;
    first = index;
    lowest = keyOf(head.value);
  }
  return first;
}
