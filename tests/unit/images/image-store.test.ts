import { describe, expect, spyOn, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Draft } from "../../../src/images/blob-store.ts";
import { ImageStore } from "../../../src/images/image-store.ts";
import { messageOf } from "../../../src/lib/errors.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";
import {
  anImage,
  anIndex,
  give,
  giveBlob,
  OCI_MANIFEST,
  openStore,
  quiet,
  sha256,
  withStore,
} from "./rig.ts";

const REPOSITORY = "localhost/web";
const NOTHING = { digests: new Set<string>() };

describe("the image store", () => {
  test("has what it was given after it is opened again", () =>
    withStore(async (store, dir) => {
      await give(store, REPOSITORY, "1");
      const again = await openStore(dir);
      expect(await again.images()).toEqual(await store.images());
      expect(again.tags(REPOSITORY)).toEqual(["1"]);
    }));

  test("forgets drafts of an earlier life, and takes up what it was fetching", () =>
    withStore(async (store, dir) => {
      const { layer } = anImage();
      const digest = sha256(layer);
      const half = await store.blobs.resume(digest);
      await half.write(new Uint8Array(layer.subarray(0, 5)));
      await half.discard();
      const abandoned = await store.blobs.draft();
      await abandoned.write(new Uint8Array(9));
      const again = await openStore(dir);
      const rest = await again.blobs.resume(digest);
      expect(rest.bytes).toBe(5);
      await rest.write(new Uint8Array(layer.subarray(5)));
      expect(await again.commit(rest, digest)).toEqual({ digest, size: layer.length });
      await again.collect(NOTHING);
      expect(readdirSync(join(dir, "drafts"))).toEqual([]);
      await abandoned.discard();
    }));

  test("keeps nothing of a blob that is not what was expected", () =>
    withStore(async (store) => {
      const draft = await store.blobs.resume(sha256("one"));
      await draft.write(Buffer.from("another"));
      expect(await store.commit(draft, sha256("one")).catch(messageOf)).toContain(
        "and not sha256:",
      );
      expect(await store.blobs.list()).toEqual([]);
      const again = await store.blobs.resume(sha256("one"));
      expect(again.bytes).toBe(0);
      await again.discard();
    }));

  test("takes no manifest before all that it names is there", () =>
    withStore(async (store) => {
      const { layer, manifest } = anImage();
      await giveBlob(store, layer);
      const put = { repository: REPOSITORY, tag: "1", bytes: new Uint8Array(manifest) };
      expect(await store.putManifest(put).catch(messageOf)).toMatch(/^the blob .* is not here$/);
      expect(store.entries()).toEqual([]);
    }));

  test("refuses indexes that are nested without an end", () =>
    withStore(async (store) => {
      await give(store, REPOSITORY, "1");
      let inner = anIndex([anImage().manifest]);
      const problems: unknown[] = [];
      for (let level = 0; level < 6; level++) {
        const put = { repository: REPOSITORY, bytes: new Uint8Array(inner) };
        problems.push(await store.putManifest(put).then(() => "taken", messageOf));
        const text = anIndex([inner]).toString().replace(OCI_MANIFEST, OCI_INDEX_TYPE);
        inner = Buffer.from(text);
      }
      expect(problems.slice(0, 4)).toEqual(["taken", "taken", "taken", "taken"]);
      expect(problems.at(-1)).toContain("nested deeper");
    }));

  test("is not kept busy by indexes that name the same one again and again", () =>
    withStore(async (store) => {
      await give(store, REPOSITORY, "1");
      let inner = anIndex([anImage().manifest]);
      for (let level = 0; level < 4; level++) {
        await store.putManifest({ repository: REPOSITORY, bytes: new Uint8Array(inner) });
        const outer = anIndex(Array.from({ length: 400 }, () => inner));
        inner = Buffer.from(outer.toString().replaceAll(OCI_MANIFEST, OCI_INDEX_TYPE));
      }
      expect(store.entries()).toHaveLength(5);
    }));

  test("a damaged index is put aside, and the blobs stay", () =>
    withStore(async (store, dir) => {
      await give(store, REPOSITORY, "1");
      writeFileSync(join(dir, "index.json"), '{"schemaVersion":2,"mani');
      const again = await openStore(dir);
      expect([again.entries(), (await again.blobs.list()).length]).toEqual([[], 3]);
      expect(existsSync(join(dir, "index.json.damaged"))).toBe(true);
    }));

  test("takes nothing when the disk has no room", () =>
    withStore(async (_, dir) => {
      const full = await openStore(dir, Number.MAX_SAFE_INTEGER);
      expect(await full.blobs.draft().catch(messageOf)).toContain("the disk has no room");
    }));

  test("goes on with a blob behind what is there of it, after a write that failed", () =>
    withStore(async (_, dir) => {
      const path = join(dir, "draft");
      const file = await open(path, "wx+");
      const draft = new Draft({
        file,
        path,
        stays: false,
        requireRoom: async () => {},
        onWritten: () => {},
        placeOf: () => join(dir, "blob"),
        attempt: (work) => work(),
      });
      const isFull = spyOn(file, "write").mockRejectedValue(new Error("the disk is full"));
      const blob = Buffer.from("a blob");
      expect(await draft.write(blob).catch(messageOf)).toBe("the disk is full");
      isFull.mockRestore();
      await draft.write(blob.subarray(draft.bytes));
      expect(await draft.commit()).toEqual({ digest: sha256(blob), size: blob.length });
    }));
});

describe("collecting", () => {
  test("keeps tags that were imported, and what they need", () =>
    withStore(async (store) => {
      await give(store, REPOSITORY, "1");
      expect(await store.collect({ ...NOTHING, copies: new Set() })).toBe(0);
      expect(store.tags(REPOSITORY)).toEqual(["1"]);
    }));

  test("removes what a tag left behind, unless a revision still needs it", () =>
    withStore(async (store) => {
      const old = await give(store, REPOSITORY, "1", anImage("old"));
      const shared = await give(store, REPOSITORY, "2", anImage("new"));
      await give(store, REPOSITORY, "1", anImage("new"));
      expect(await store.collect({ digests: new Set([old]) })).toBe(0);
      expect(store.find(REPOSITORY, old)?.digest).toBe(old);
      expect(await store.collect(NOTHING)).toBeGreaterThan(0);
      expect(store.find(REPOSITORY, old)).toBeUndefined();
      expect(await store.blobs.sizeOf(sha256(anImage("old").layer))).toBeUndefined();
      expect(await store.blobs.sizeOf(shared)).toBe(anImage("new").manifest.length);
    }));

  test("keeps a layer that two images share until the last of them goes", () =>
    withStore(async (store) => {
      const image = anImage();
      await give(store, REPOSITORY, "1", image);
      await give(store, "localhost/other", "1", image);
      await store.remove(REPOSITORY, "1");
      await store.collect(NOTHING);
      expect(await store.blobs.sizeOf(sha256(image.layer))).toBe(image.layer.length);
      await store.remove("localhost/other", "1");
      await store.collect(NOTHING);
      expect(await store.blobs.list()).toEqual([]);
    }));

  test("keeps what is about an image for as long as the image", () =>
    withStore(async (store) => {
      const image = anImage();
      const about = await give(store, REPOSITORY, "1", image);
      const body = JSON.parse(Buffer.from(image.manifest).toString()) as object;
      const subject = { mediaType: OCI_MANIFEST, digest: about, size: image.manifest.length };
      const bytes = Buffer.from(JSON.stringify({ ...body, subject }));
      const { digest } = await store.putManifest({ repository: REPOSITORY, bytes });
      await store.collect(NOTHING);
      expect(store.find(REPOSITORY, digest)?.digest).toBe(digest);
      await store.remove(REPOSITORY, "1");
      await store.collect(NOTHING);
      expect(await store.blobs.list()).toEqual([]);
    }));

  test("leaves what an upload under way brought or asked for", () =>
    withStore(async (store) => {
      const { layer } = anImage();
      await giveBlob(store, layer);
      await store.collect(NOTHING);
      expect(await store.sizeOf(sha256(layer))).toBe(layer.length);
    }));

  test("sweeps away what no manifest names once nobody waits for it, and nothing else", () =>
    withStore(async (_, dir) => {
      const clock = new VirtualClock(0);
      const store = await ImageStore.open(dir, { clock, log: quiet, reserveBytes: 0 });
      const old = await give(store, REPOSITORY, "1", anImage("old"));
      await give(store, REPOSITORY, "1", anImage("new"));
      await giveBlob(store, Buffer.from("left by an upload"));
      expect(await store.sweep()).toBe(0);
      clock.sleep(3_600_001);
      expect(await store.sweep()).toBe("left by an upload".length);
      expect(store.find(REPOSITORY, old)?.digest).toBe(old);
    }));

  test("removes copies that nobody needs when it is told which are needed", () =>
    withStore(async (store) => {
      const { manifest, layer, config } = anImage();
      for (const bytes of [layer, config]) await giveBlob(store, bytes);
      const put = { bytes: new Uint8Array(manifest), isCopy: true };
      for (const tag of ["1", "2"])
        await store.putManifest({ ...put, repository: REPOSITORY, tag });
      const copies = new Set([`${REPOSITORY}:2`]);
      await store.collect({ ...NOTHING, copies });
      expect(store.tags(REPOSITORY)).toEqual(["2"]);
    }));
});

const OCI_INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
