import { ImageStore } from "../../src/images/image-store.ts";
import { loadArchive } from "../../src/images/load-archive.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { dockerArchive, imageOf, quiet, streamOf } from "../unit/images/rig.ts";

/** Loads one image after the other into the directory that it is given, until it is killed. */
const store = await ImageStore.open(process.argv[2] ?? "", { clock: systemClock, log: quiet });
for (let round = 0; ; round++) {
  const layer = new Uint8Array(300_000).fill(round % 251);
  const tags = [`localhost/web:${round}`, "localhost/web:latest"];
  await loadArchive(store, streamOf(dockerArchive(tags, imageOf(layer)), 65_536));
  if (round > 2) await store.remove("localhost/web", String(round - 3));
  if (round % 3 === 2) await store.collect({ digests: new Set() });
  console.log(`loaded ${round}`);
}
