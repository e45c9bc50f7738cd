import { describe, expect, test } from "bun:test";
import { randomBelow, seededRandom, systemRandom, type Random } from "../../../src/lib/random.ts";

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.next());

describe("a seeded source", () => {
  test("gives the same numbers for the same seed and others for another", () => {
    expect(draw(seededRandom("a"), 8)).toEqual(draw(seededRandom("a"), 8));
    expect(draw(seededRandom("a"), 8)).not.toEqual(draw(seededRandom("b"), 8));
  });

  test("splits into sources that do not depend on what was drawn before", () => {
    const fresh = seededRandom("a");
    const used = seededRandom("a");
    draw(used, 100);
    expect(draw(used.split("web"), 4)).toEqual(draw(fresh.split("web"), 4));
    expect(draw(fresh.split("web"), 4)).not.toEqual(draw(fresh.split("db"), 4));
  });

  test("spreads evenly over ten buckets", () => {
    const random = seededRandom("even");
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 10_000; i++) {
      const bucket = randomBelow(random, 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(buckets.every((count) => count > 880 && count < 1120)).toBe(true);
  });
});

test("the host's source stays within [0, 1)", () => {
  const numbers = draw(systemRandom, 1000);
  expect(numbers.every((n) => n >= 0 && n < 1)).toBe(true);
  expect(new Set(numbers).size).toBeGreaterThan(990);
});
