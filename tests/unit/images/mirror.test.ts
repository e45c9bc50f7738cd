import { describe, expect, test } from "bun:test";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { messageOf, OrchdError } from "../../../src/lib/errors.ts";
import { until } from "../api/fixture.ts";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { type ImageSource, Mirror } from "../../../src/images/mirror.ts";
import { whileItComes } from "../../../src/images/while-it-comes.ts";
import {
  anImage,
  give,
  giveBlob,
  OCI_MANIFEST,
  openStore,
  quiet,
  sha256,
  withStore,
} from "./rig.ts";

const REPOSITORY = "localhost/web";

/** Another store with one image; what it is asked for is written down. */
class Source implements ImageSource {
  readonly image = anImage();
  readonly asked: [digest: string, from: number][] = [];
  /** After so many bytes each transfer breaks. */
  breaksAfter = Infinity;
  isReachable = true;
  spoil = (bytes: Uint8Array) => bytes;

  async manifest() {
    if (!this.isReachable) throw gone();
    return { bytes: new Uint8Array(this.image.manifest), mediaType: OCI_MANIFEST };
  }

  async blob(_repository: string, digest: string, from: number) {
    this.asked.push([digest, from]);
    const { layer, config } = this.image;
    const found = [layer, config].find((one) => sha256(one) === digest);
    return found === undefined ? undefined : this.#send(this.spoil(found).subarray(from));
  }

  async *#send(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(bytes.subarray(0, this.breaksAfter));
    if (bytes.length > this.breaksAfter) throw gone();
  }
}

function gone(): OrchdError {
  return new OrchdError("unreachable", "the other machine went away", { retryable: true });
}

function aMirror(store: ImageStore, source: ImageSource): Mirror {
  return new Mirror({ store, source, clock: systemClock, log: quiet });
}

describe("a mirror", () => {
  test("brings the manifest that the other one has now, and blobs once for all who wait", () =>
    withStore(async (store) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      const mirror = aMirror(store, source);
      expect(await mirror.bringManifest(REPOSITORY, "1")).toBe(true);
      await Promise.all([
        mirror.bringBlob(REPOSITORY, digest),
        mirror.bringBlob(REPOSITORY, digest),
      ]);
      await mirror.bringBlob(REPOSITORY, digest);
      expect(source.asked).toEqual([[digest, 0]]);
      expect(await store.sizeOf(digest)).toBe(source.image.layer.length);
      expect(store.find(REPOSITORY, "1")).toMatchObject({ isCopy: true });
    }));

  test("goes on where a transfer broke, in this life and in the next", () =>
    withStore(async (store, dir) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      source.breaksAfter = 6;
      await aMirror(store, source).bringBlob(REPOSITORY, digest);
      expect(source.asked.map(([, from]) => from)).toEqual([0, 6, 12]);
      const other = sha256(source.image.config);
      const half = await store.blobs.resume(other);
      await half.write(new Uint8Array(source.image.config.subarray(0, 50)));
      await half.discard();
      source.breaksAfter = Infinity;
      await aMirror(await openStore(dir), source).bringBlob(REPOSITORY, other);
      expect(source.asked.at(-1)).toEqual([other, 50]);
      expect(await store.blobs.sizeOf(other)).toBe(source.image.config.length);
    }));

  test("keeps nothing of wrong bytes", () =>
    withStore(async (store) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      source.spoil = (bytes) => bytes.map((byte) => byte ^ 1);
      const bringing = aMirror(store, source).bringBlob(REPOSITORY, digest);
      expect(await bringing.catch(messageOf)).toContain("and not");
      expect(source.asked).toEqual([1, 2, 3].map(() => [digest, 0]));
      expect(await store.blobs.sizeOf(digest)).toBeUndefined();
      source.spoil = (bytes) => bytes;
      await aMirror(store, source).bringBlob(REPOSITORY, digest);
      expect(source.asked.at(-1)).toEqual([digest, 0]);
    }));

  test("leaves what is here while the other one is away", () =>
    withStore(async (store) => {
      const source = new Source();
      source.isReachable = false;
      const digest = await give(store, REPOSITORY, "1");
      const mirror = aMirror(store, source);
      expect(await mirror.bringManifest(REPOSITORY, "1")).toBeUndefined();
      expect(store.find(REPOSITORY, "1")?.digest).toBe(digest);
      await giveBlob(store, source.image.layer);
      await mirror.bringBlob(REPOSITORY, sha256(source.image.layer));
      expect(source.asked).toEqual([]);
    }));

  test("says of a blob that the other one lacks nothing", () =>
    withStore(async (store) => {
      await aMirror(store, new Source()).bringBlob(REPOSITORY, sha256("none"));
      expect(await store.blobs.list()).toEqual([]);
    }));
});

describe("a blob that is being brought", () => {
  test("is passed on as it comes, and its followers hear of its end", () =>
    withStore(async (store) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      const gate = Promise.withResolvers<void>();
      source.blob = async () =>
        (async function* () {
          yield new Uint8Array(source.image.layer.subarray(0, 5));
          await gate.promise;
          yield new Uint8Array(source.image.layer.subarray(5));
        })();
      const mirror = aMirror(store, source);
      const bringing = mirror.bringBlob(REPOSITORY, digest);
      await until(() => mirror.follow(digest, 0) !== undefined);
      const pieces = mirror.follow(digest, 2);
      const first = await pieces?.next();
      expect(Buffer.from(first?.value ?? new Uint8Array()).toString()).toBe("lay");
      gate.resolve();
      await bringing;
      let rest = "";
      for await (const piece of pieces ?? []) rest += Buffer.from(piece).toString();
      expect(rest).toBe(Buffer.from(source.image.layer).toString().slice(5));
      expect(mirror.follow(digest, 0)).toBeUndefined();
    }));

  test("is not passed on any more when no more of it comes", () =>
    withStore(async (store) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      const gate = Promise.withResolvers<void>();
      source.blob = async () =>
        (async function* () {
          yield new Uint8Array(source.image.layer.subarray(0, 5));
          await gate.promise;
          yield new Uint8Array(source.image.layer.subarray(5));
        })();
      const mirror = aMirror(store, source);
      const bringing = mirror.bringBlob(REPOSITORY, digest);
      await until(() => mirror.follow(digest, 0) !== undefined);
      const delays: number[] = [];
      const hurried: Clock = {
        ...systemClock,
        after: (ms, run) => systemClock.after(delays.push(ms), run),
      };
      const pieces = mirror.follow(digest, 5);
      expect(pieces && (await whileItComes(pieces, hurried).next().catch(messageOf))).toBe(
        "no more of the blob comes",
      );
      expect(delays).toEqual([10_000]);
      gate.resolve();
      await bringing;
    }));

  test("is given to a runtime but for its last byte until it was held against its digest", () =>
    withStore(async (store) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      const gate = Promise.withResolvers<void>();
      source.blob = async () =>
        (async function* () {
          yield new Uint8Array(source.image.layer);
          await gate.promise;
        })();
      const pieces = await aMirror(store, source).bringChecked(REPOSITORY, digest);
      const whole = Buffer.from(source.image.layer).toString();
      const first = await pieces?.next();
      expect(Buffer.from(first?.value ?? new Uint8Array()).toString()).toBe(whole.slice(0, -1));
      gate.resolve();
      const last = await pieces?.next();
      expect(Buffer.from(last?.value ?? new Uint8Array()).toString()).toBe(whole.slice(-1));
      expect((await pieces?.next())?.done).toBe(true);
      expect(await store.sizeOf(digest)).toBe(whole.length);
    }));

  test("is never whole for a runtime when wrong bytes came, which is counted", () =>
    withStore(async (store) => {
      const source = new Source();
      const digest = sha256(source.image.layer);
      source.spoil = (bytes) => bytes.map((byte) => byte ^ 1);
      const mirror = aMirror(store, source);
      let got = 0;
      const reading = async () => {
        const pieces = await mirror.bringChecked(REPOSITORY, digest);
        for await (const piece of pieces ?? []) got += piece.length;
        return "all of it";
      };
      expect(await reading().catch(messageOf)).not.toBe("all of it");
      expect(got).toBeLessThan(source.image.layer.length);
      await mirror.bringBlob(REPOSITORY, digest).catch(messageOf);
      expect(mirror.damages).toBeGreaterThan(0);
    }));
});
