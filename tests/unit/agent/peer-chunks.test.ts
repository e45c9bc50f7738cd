import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { PeerImages } from "../../../src/agent/peer-images.ts";
import type { PeerAnswer } from "../../../src/images/peer-answer.ts";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { Mirror } from "../../../src/images/mirror.ts";
import { CHUNK_BYTES } from "../../../src/images/gather-chunks.ts";
import { passOnBlob } from "../../../src/images/registry-blob.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { giveBlob, openStore, quiet, sha256, withStore } from "../images/rig.ts";
import { until } from "../api/fixture.ts";
import { aCluster, type TestCluster } from "../server/port-rig.ts";
import { aGiver, aServer, aTaker, closeGivers, REPOSITORY } from "./peer-rig.ts";

const BLOB = new Uint8Array(randomBytes(12 * CHUNK_BYTES + 5));
const DIGEST = sha256(BLOB);
/** Nobody waits long for one who says nothing. */
const hurried: Clock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(Math.min(ms, 1000), run),
};

let released = Promise.withResolvers<void>();
afterEach(async () => {
  released.resolve();
  released = Promise.withResolvers();
  await closeGivers();
});

/** Nodes that have the blob, each with what it does to an answer. */
async function givers(
  cluster: TestCluster,
  store: ImageStore,
  changes: ((answer: PeerAnswer) => PeerAnswer)[],
) {
  await giveBlob(store, BLOB);
  const asked = changes.map((): string[] => []);
  const connections = changes.map(() => 0);
  const named = changes.map((change, at) => {
    const answer = async (request: Request) => {
      asked[at]?.push(request.headers.get("range") ?? "");
      return change(await passOnBlob(store, request, DIGEST));
    };
    return aGiver(cluster, answer, () => {
      connections[at] = (connections[at] ?? 0) + 1;
      return true;
    });
  });
  return { asked, connections, named: await Promise.all(named) };
}

const well = (answer: PeerAnswer) => answer;

/** Gives so many pieces, and then nothing until the test is over. */
function hangsAfter(count: number) {
  return ({ pieces, ...answer }: PeerAnswer): PeerAnswer => ({ ...answer, pieces: some(pieces) });
  async function* some(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let given = 0;
    for await (const piece of pieces) {
      if (given++ === count) await released.promise;
      yield piece;
    }
  }
}

function spoils({ pieces, ...answer }: PeerAnswer): PeerAnswer {
  return { ...answer, pieces: wrong(pieces) };
  async function* wrong(from: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of from) yield piece.map((byte) => byte ^ 1);
  }
}

async function bytesOf(pieces: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces ?? []) all.push(new Uint8Array(piece));
  return Buffer.concat(all);
}

describe("a blob that several nodes have", () => {
  test("comes in chunks from all of them, over one connection to each", () =>
    withStore(async (store) => {
      const cluster = await aCluster();
      const { named, asked, connections } = await givers(cluster, store, [well, well, well]);
      const taker = await aTaker(cluster, aServer(named).server);
      expect(
        (await bytesOf(await taker.blob(REPOSITORY, DIGEST, 7))).equals(BLOB.subarray(7)),
      ).toBe(true);
      expect(asked.flat()).toHaveLength(12);
      expect(connections).toEqual([1, 1, 1]);
      for (const one of asked) expect(one.length).toBeGreaterThan(1);
    }));

  test("comes whole when one of them hangs in the middle, and that one is left alone", () =>
    withStore(async (store) => {
      const cluster = await aCluster();
      const { named, asked } = await givers(cluster, store, [well, hangsAfter(1), well]);
      const taker = await aTaker(cluster, aServer(named).server);
      expect((await bytesOf(await taker.blob(REPOSITORY, DIGEST, 0))).equals(BLOB)).toBe(true);
      expect((await bytesOf(await taker.blob(REPOSITORY, DIGEST, 0))).equals(BLOB)).toBe(true);
      expect(asked[1]).toHaveLength(1);
    }));

  test("goes on elsewhere from where the only one that gave it hung", () =>
    withStore(async (store) => {
      const cluster = await aCluster();
      const { named, asked } = await givers(cluster, store, [hangsAfter(30), well]);
      const known = named.slice(0, 1);
      const taker = await aTaker(cluster, aServer(known).server, hurried);
      await withMirror(taker, async (mirror) => {
        const whole = mirror.bringBlob(REPOSITORY, DIGEST);
        await until(() => asked[0]?.length === 1);
        known.push(...named.slice(1));
        await whole;
      });
      expect(asked[0]).toEqual([""]);
      expect(asked[1]?.[0]).toBe(`bytes=${30 * 256 * 1024}-`);
    }));

  test("is taken again from others when one gave wrong bytes", () =>
    withStore(async (store) => {
      const cluster = await aCluster();
      const { named, asked } = await givers(cluster, store, [well, spoils, well, well]);
      const taker = await aTaker(cluster, aServer(named).server);
      await withMirror(taker, (mirror) => mirror.bringBlob(REPOSITORY, DIGEST));
      const [first, second, third, last] = asked.map((one) => one.length);
      expect([first, second, third].every((count = 0) => count > 0)).toBe(true);
      expect(last).toBe(1);
    }));
});

/** Runs it with a store of its own, in which the blob is to be whole afterwards. */
async function withMirror(
  source: PeerImages,
  run: (mirror: Mirror) => Promise<unknown>,
): Promise<void> {
  await withStore(async (_, dir) => {
    const store = await openStore(`${dir}/own`);
    await run(new Mirror({ store, source, clock: hurried, log: quiet }));
    expect(await store.sizeOf(DIGEST)).toBe(BLOB.length);
  });
}
