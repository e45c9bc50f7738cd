import { describe, expect, test } from "bun:test";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { type ImageSource, Mirror } from "../../../src/images/mirror.ts";
import { PullThrough } from "../../../src/images/pull-through.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import { anImage, give, OCI_MANIFEST, quiet, sha256, withStore } from "./rig.ts";

const WEB = "reg.example/web";
const { layer, manifest } = anImage("upstream");

interface Upstream extends ImageSource {
  asked: string[];
  /** What each request for a manifest fails with. */
  fails?: OrchdError;
}

function anUpstream(blob: ImageSource["blob"] = async () => undefined): Upstream {
  const upstream: Upstream = {
    asked: [],
    async manifest(repository, reference) {
      upstream.asked.push(`${repository}:${reference}`);
      if (upstream.fails !== undefined) throw upstream.fails;
      if (reference === "none") return undefined;
      return { bytes: new Uint8Array(manifest), mediaType: OCI_MANIFEST };
    },
    blob,
  };
  return upstream;
}

function throughTo(store: ImageStore, source: Upstream, hosts = ["reg.example"]): PullThrough {
  const options = { store, clock: systemClock, log: quiet };
  return new PullThrough({ ...options, mirror: new Mirror({ ...options, source }), hosts });
}

describe("a registry behind the site's store", () => {
  test("is asked for its own images, each time anew, and for no other's", () =>
    withStore(async (store) => {
      const upstream = anUpstream();
      const through = throughTo(store, upstream);
      expect(await through.bringManifest(WEB, "1")).toBe(true);
      expect(await through.bringManifest(WEB, "1")).toBe(true);
      expect(await through.bringManifest(WEB, "none")).toBe(false);
      expect(await through.bringManifest("docker.io/library/web", "1")).toBeUndefined();
      expect(upstream.asked).toEqual([`${WEB}:1`, `${WEB}:1`, `${WEB}:none`]);
      expect(store.find(WEB, "1")?.isCopy).toBe(true);
      const all = throughTo(store, upstream, ["*"]);
      expect(await all.bringManifest("docker.io/library/web", "1")).toBe(true);
    }));

  test("is not asked for what the site was given on purpose", () =>
    withStore(async (store) => {
      const upstream = anUpstream();
      const digest = await give(store, WEB, "1", anImage("on purpose"));
      expect(await throughTo(store, upstream).bringManifest(WEB, "1")).toBe(true);
      expect(upstream.asked).toEqual([]);
      expect(store.find(WEB, "1")?.digest).toBe(digest);
    }));

  test("is left alone for a while when it can't be reached, and the copy counts", () =>
    withStore(async (store) => {
      const upstream = anUpstream();
      const through = throughTo(store, upstream);
      await through.bringManifest(WEB, "1");
      upstream.fails = new OrchdError("unreachable", "no route", { retryable: true });
      expect(await through.bringManifest(WEB, "1")).toBeUndefined();
      expect(await through.bringManifest(WEB, "1")).toBeUndefined();
      expect(upstream.asked).toHaveLength(2);
      expect(store.find(WEB, "1")?.digest).toBe(sha256(manifest));
    }));

  test("that wants a login is as one that has nothing", () =>
    withStore(async (store) => {
      const upstream = anUpstream();
      upstream.fails = new OrchdError("unauthorized", "it wants a login");
      expect(await throughTo(store, upstream).bringManifest(WEB, "1")).toBeUndefined();
    }));

  test("gives a blob on as it comes, once for all who want it, and keeps it", () =>
    withStore(async (store) => {
      const rest = Promise.withResolvers<void>();
      let times = 0;
      const upstream = anUpstream(async () => {
        times += 1;
        return (async function* () {
          yield new Uint8Array(layer.subarray(0, 4));
          await rest.promise;
          yield new Uint8Array(layer.subarray(4));
        })();
      });
      const through = throughTo(store, upstream);
      const digest = sha256(layer);
      const [one, two] = await Promise.all([
        through.bring(WEB, digest, 0),
        through.bring(WEB, digest, 2),
      ]);
      const first = await one?.next();
      expect(Buffer.from((first?.value ?? []) as Uint8Array)).toEqual(
        Buffer.from(layer.subarray(0, 4)),
      );
      await one?.return(undefined);
      rest.resolve();
      expect(await textOf(two)).toBe(Buffer.from(layer.subarray(2)).toString());
      expect([times, await store.sizeOf(digest)]).toEqual([1, layer.length]);
      expect(await through.bring(WEB, digest, 0)).toBeUndefined();
    }));

  test("that does not have a blob answers that, and holds nobody up", () =>
    withStore(async (store) => {
      const through = throughTo(store, anUpstream());
      expect(await through.bring(WEB, sha256("none"), 0)).toBeUndefined();
      expect(await through.bring("other.example/web", sha256("none"), 0)).toBeUndefined();
    }));
});

async function textOf(pieces: AsyncIterable<Uint8Array> | undefined): Promise<string> {
  let text = "";
  for await (const piece of pieces ?? []) text += Buffer.from(piece).toString();
  return text;
}
