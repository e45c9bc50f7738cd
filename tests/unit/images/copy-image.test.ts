import { expect, test } from "bun:test";
import { copyImage } from "../../../src/images/copy-image.ts";
import { LinkUse } from "../../../src/images/link-use.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { anImage, anIndex, OCI_MANIFEST, quiet, sha256, streamOf, withStore } from "./rig.ts";

const image = anImage();
const index = anIndex(Array.from({ length: 400 }, () => image.manifest));

/** A registry with one image; `asked` counts what it is asked for. */
function aSource(asked: string[]) {
  const manifests = new Map([
    [sha256(image.manifest), { bytes: new Uint8Array(image.manifest), mediaType: OCI_MANIFEST }],
  ]);
  const indexType = "application/vnd.oci.image.index.v1+json";
  return {
    async manifest(_repository: string, reference: string) {
      asked.push(reference);
      return manifests.get(reference) ?? { bytes: new Uint8Array(index), mediaType: indexType };
    },
    async blob(_repository: string, digest: string) {
      asked.push(digest);
      const found = [image.layer, image.config].find((one) => sha256(one) === digest);
      return found === undefined ? undefined : streamOf(found);
    },
  };
}

test("an image that is copied comes no faster than the link may be used, each part once", () =>
  withStore(async (store) => {
    const asked: string[] = [];
    const paced: string[] = [];
    class Watched extends LinkUse {
      override paced(direction: "in" | "out", pieces: AsyncIterable<Uint8Array>) {
        paced.push(direction);
        return super.paced(direction, pieces);
      }
    }
    const from = { host: "there.example", path: "web", tag: "1" };
    const as = { host: "localhost", path: "web", tag: "1" };
    const link = new Watched(systemClock, () => undefined);
    const common = { store, source: aSource(asked), clock: systemClock, log: quiet };
    expect(await copyImage({ ...common, from, as, link })).toBe("localhost/web:1");
    const parts = [image.manifest, image.layer, image.config].map(sha256);
    expect(asked.toSorted()).toEqual(["1", ...parts].toSorted());
    expect(paced).toEqual(["in", "in"]);
  }));
