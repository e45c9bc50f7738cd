import { expect, test } from "bun:test";
import type { SiteImages } from "../../../src/agent/site-images.ts";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { messageOf } from "../../../src/lib/errors.ts";
import type { Service } from "../../../src/model/service.ts";
import { KeptImages } from "../../../src/server/kept-images.ts";
import type { Store } from "../../../src/store/store.ts";
import { aContainer, aService, aSpec, aView } from "../../builders.ts";
import { anImage, give, quiet, sha256, withStore } from "../images/rig.ts";

const REPOSITORY = "localhost/web";
const image = "localhost/web:1";

function keptIn(store: ImageStore, services: Service[]): KeptImages {
  const view = aView({ services });
  return new KeptImages({
    site: { store } as unknown as SiteImages,
    store: { view: () => view } as unknown as Store,
    sessions: () => [],
    clock: systemClock,
    log: quiet,
  });
}

/** A service whose first revision is of this manifest, under a tag that others have by now. */
function pinnedTo(digest: string): Service {
  const spec = aSpec({ container: aContainer({ image }) });
  const pins = { "linux/amd64": { digest, id: digest } };
  const newest = aSpec({ container: aContainer({ image: "localhost/other:1" }) });
  return aService(
    {},
    {
      revisions: [
        { revision: 1, at: 0, spec, pins },
        { revision: 2, at: 0, spec: newest },
      ],
      templateRevision: 2,
    },
  );
}

test("what a former revision is pinned to stays when its tag has gone on, and nothing else", () =>
  withStore(async (store) => {
    const [pinned, unneeded, latest] = ["first", "second", "third"].map((text) => anImage(text));
    if (pinned === undefined) throw new Error("there are three");
    for (const one of [pinned, unneeded, latest]) await give(store, REPOSITORY, "1", one);
    const { freedBytes } = await keptIn(store, [pinnedTo(sha256(pinned.manifest))]).prune();
    expect(freedBytes).toBeGreaterThan(0);
    const left = [pinned, unneeded, latest].map((one) => store.sizeOf(sha256(one?.layer ?? "")));
    expect((await Promise.all(left)).map((size) => size !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
  }));

test("an image that a former revision may need is not removed, unless by force", () =>
  withStore(async (store) => {
    const digest = await give(store, REPOSITORY, "1");
    const kept = keptIn(store, [pinnedTo(digest)]);
    expect(await kept.remove(image, { force: false }).catch(messageOf)).toBe(
      "shop/web may need localhost/web:1, now or when going back to an earlier revision: " +
        "leave it, or use --force",
    );
    expect(await store.images()).toHaveLength(1);
    await kept.remove(image, { force: true });
    expect(await store.images()).toEqual([]);
  }));
