import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { CHUNK_BYTES, type ChunkGiver, gatherChunks } from "../../../src/images/gather-chunks.ts";
import type { ByteRange } from "../../../src/images/blob-store.ts";
import { messageOf } from "../../../src/lib/errors.ts";

const BLOB = new Uint8Array(randomBytes(20 * CHUNK_BYTES + 7));

/** Gives all that it is asked for, as `delay` lets it; what that was is written down. */
class Giver implements ChunkGiver {
  readonly asked: number[] = [];
  readonly ended: number[] = [];
  readonly #delay: (range: ByteRange) => Promise<void> | void;

  constructor(delay: (range: ByteRange) => Promise<void> | void = () => {}) {
    this.#delay = delay;
  }

  async chunk(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    this.asked.push(range.start);
    const ended = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => {
        this.ended.push(range.start);
        reject(new Error("it was ended"));
      });
    });
    await Promise.race([this.#delay(range), ended]);
    return BLOB.subarray(range.start, range.end);
  }
}

async function all(givers: readonly ChunkGiver[], start = 0): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of gatherChunks({ start, end: BLOB.length }, givers)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const never = () => new Promise<void>(() => {});
const turn = () => new Promise<void>((go) => setImmediate(go));

describe("a blob in chunks", () => {
  test("comes whole and in order, each chunk from one of several", async () => {
    const givers = [new Giver(turn), new Giver(turn), new Giver(turn)];
    expect((await all(givers, 3)).equals(BLOB.subarray(3))).toBe(true);
    const asked = givers.flatMap((giver) => giver.asked);
    expect(new Set(asked).size).toBe(21);
    expect(asked).toHaveLength(21);
    for (const giver of givers) expect(giver.asked.length).toBeGreaterThan(4);
  });

  test("comes from the others when one fails, and that one is asked no more", async () => {
    const bad = new Giver(() => Promise.reject(new Error("it broke")));
    const good = new Giver(turn);
    expect((await all([bad, good])).equals(BLOB)).toBe(true);
    expect(bad.asked).toHaveLength(1);
  });

  test("comes from the others when one hangs, before it is taken for gone", async () => {
    const hung = new Giver(never);
    const good = new Giver(turn);
    expect((await all([hung, good])).equals(BLOB)).toBe(true);
    expect(hung.ended).toEqual([0]);
    expect(good.asked.filter((start) => start === 0)).toEqual([0]);
  });

  test("ends with what went wrong when nobody is left", async () => {
    const bad = (text: string) => new Giver(() => Promise.reject(new Error(text)));
    expect(await all([bad("it broke"), bad("it broke")]).catch(messageOf)).toBe("it broke");
  });

  test("is asked for eight chunks ahead, and no more once nobody wants it", async () => {
    const giver = new Giver();
    const chunks = gatherChunks({ start: 0, end: BLOB.length }, [giver]);
    await chunks.next();
    for (let turns = 0; turns < 50; turns++) await turn();
    expect(giver.asked).toHaveLength(8);
    await chunks.return(undefined);
    for (let turns = 0; turns < 50; turns++) await turn();
    expect(giver.asked).toHaveLength(8);
  });
});
