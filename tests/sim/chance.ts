import { randomBelow, type Random } from "../../src/lib/random.ts";

/** Whether something with this probability happens now. */
export function happens(random: Random, probability: number): boolean {
  return random.next() < probability;
}

/** A whole number in [from, to]. */
export function between(random: Random, from: number, to: number): number {
  return from + randomBelow(random, to - from + 1);
}

/** One of `items`, which are not empty. */
export function oneOf<T>(random: Random, items: readonly T[]): T {
  const item = items[randomBelow(random, items.length)];
  if (item === undefined) throw new Error("there is nothing to choose from");
  return item;
}

/** A source whose parts are not independent, as the host's is: what a process in production has. */
export function hostLike(random: Random): Random {
  const source: Random = { next: () => random.next(), split: () => source };
  return source;
}
