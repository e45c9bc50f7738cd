import type { Progress } from "../../model/summary.ts";

/** Items of several sources as they come; the first failure is everybody's. */
export async function* mergeArrivals<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const next = (iterator: AsyncIterator<T>) =>
    iterator.next().then((result) => ({ iterator, result }));
  const pending = new Map(iterators.map((iterator) => [iterator, next(iterator)]));
  while (pending.size > 0) {
    const waiting = [...pending.values()];
    const { iterator, result } = await Promise.race(waiting);
    if (result.done === true) pending.delete(iterator);
    else {
      pending.set(iterator, next(iterator));
      yield result.value;
    }
  }
}

/** Items of several sources that each are in order, all in order; waits for every source. */
export async function* mergeOrdered<T>(
  sources: readonly AsyncIterable<T>[],
  orderOf: (item: T) => number,
): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
  for (;;) {
    let first: { index: number; item: T } | undefined;
    for (const [index, head] of heads.entries()) {
      if (head.done === true) continue;
      if (first === undefined || orderOf(head.value) < orderOf(first.item)) {
        first = { index, item: head.value };
      }
    }
    if (first === undefined) return;
    yield first.item;
    const iterator = iterators[first.index];
    if (iterator !== undefined) heads[first.index] = await iterator.next();
  }
}

/** Progress of several services, each from its own stream, as one. */
export async function* mergeProgress(
  streams: readonly AsyncIterable<Progress>[],
): AsyncGenerator<Progress> {
  const latest = streams.map((): Progress | undefined => undefined);
  const tagged = streams.map((stream, index) => tag(stream, index));
  for await (const { index, progress } of mergeArrivals(tagged)) {
    latest[index] = progress;
    const known = latest.filter((each) => each !== undefined);
    yield {
      stack: progress.stack,
      services: known.flatMap((each) => each.services),
      converged: known.length === streams.length && known.every((each) => each.converged),
      removed: known.some((each) => each.removed),
    };
  }
}

async function* tag(stream: AsyncIterable<Progress>, index: number) {
  for await (const progress of stream) yield { index, progress };
}
