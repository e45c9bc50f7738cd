import { expect, test } from "bun:test";
import { LinkUse } from "../../../src/images/link-use.ts";
import type { NodeLink } from "../../../src/model/link.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";

const RATE = 100_000;

async function* pieces(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let given = 0; given < count; given++) yield new Uint8Array(bytes).fill(given);
}

/** A link that is used by clients of a clock which runs on its own. */
function aLink(link: () => NodeLink | undefined) {
  const clock = new VirtualClock(0);
  const use = new LinkUse(clock, link);
  /** How much comes, and how long it takes by the clock. */
  const take = async (direction: "in" | "out", from: AsyncIterable<Uint8Array>) => {
    let bytes = 0;
    for await (const piece of use.paced(direction, from)) bytes += piece.length;
    return { bytes, ms: clock.now() };
  };
  const run = async <T>(work: Promise<T>): Promise<T> => {
    let isOver = false;
    const over = () => (isOver = true);
    work.then(over, over);
    for (;;) {
      await new Promise<void>((go) => setImmediate(go));
      if (isOver) return work;
      await clock.step(Infinity);
    }
  };
  return { use, take, run };
}

test("a link is used no faster than its setting says, by all in one direction", async () => {
  const { take, run } = aLink(() => ({ bytesPerSecond: RATE }));
  const both = Promise.all([take("in", pieces(5, RATE)), take("in", pieces(5, RATE))]);
  const taken = await run(both);
  expect(taken.map(({ bytes }) => bytes)).toEqual([5 * RATE, 5 * RATE]);
  // After a rest a quarter of a second's worth goes at once.
  expect(Math.max(...taken.map(({ ms }) => Math.round(ms)))).toBe(9750);
});

test("what goes out waits for nothing that comes in", async () => {
  const { take, run } = aLink(() => ({ bytesPerSecond: RATE }));
  const both = Promise.all([take("in", pieces(1, RATE)), take("out", pieces(1, RATE))]);
  expect((await run(both)).map(({ ms }) => Math.round(ms))).toEqual([750, 750]);
});

test("pieces are cut so that something comes each quarter of a second", async () => {
  const { use, run } = aLink(() => ({ bytesPerSecond: RATE }));
  const lengths: number[] = [];
  const taking = (async () => {
    for await (const { length } of use.paced("in", pieces(1, 60_000))) lengths.push(length);
  })();
  await run(taking);
  expect(lengths).toEqual([25_000, 25_000, 10_000]);
});

test("a setting holds from the next piece on, and none means as fast as it comes", async () => {
  let link = undefined as NodeLink | undefined;
  const { use, take, run } = aLink(() => link);
  expect(use.isCapped).toBe(false);
  expect(await run(take("in", pieces(100, RATE)))).toEqual({ bytes: 100 * RATE, ms: 0 });
  link = { bytesPerSecond: RATE };
  expect(use.isCapped).toBe(true);
  expect(Math.round((await run(take("in", pieces(2, RATE)))).ms)).toBe(1750);
});
