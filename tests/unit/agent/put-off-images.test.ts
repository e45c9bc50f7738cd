import { expect, test } from "bun:test";
import { PutOffImages } from "../../../src/agent/put-off-images.ts";
import { messageOf } from "../../../src/lib/errors.ts";
import { type NodeLink, parseLinkWindow } from "../../../src/model/link.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";
import { quiet } from "../images/rig.ts";

const HOUR_MS = 3_600_000;
const NOON = Date.parse("2026-11-28T12:00Z");
const night = [parseLinkWindow("22:00-06:00")].flatMap((window) => window ?? []);

function aNode(link: NodeLink | undefined) {
  const clock = new VirtualClock(NOON);
  const fetched: [reference: string, hour: number][] = [];
  const putOff = new PutOffImages({
    clock,
    log: quiet,
    link: () => link,
    runtime: { takeImage: async () => {} },
    site: {
      async give(_, reference) {
        if (reference === "broken") throw new Error("it broke");
        fetched.push([reference, Math.floor(((clock.now() - NOON) / HOUR_MS + 12) % 24)]);
        return reference !== "unknown";
      },
    },
    onCame: () => {},
  });
  /** Lets so much time pass. */
  const pass = async (ms: number) => {
    const until = clock.now() + ms;
    while (await clock.step(until));
  };
  return { putOff, fetched, pass };
}

test("images come at once where the link is for them at any time", async () => {
  const { putOff } = aNode({ bytesPerSecond: 10_000 });
  expect(await putOff.fetch(["a", "unknown", "b"])).toEqual(["a", "b"]);
});

test("images that no task needs come once the link is open for them, each once", async () => {
  const { putOff, fetched, pass } = aNode({ windows: night });
  const told = await putOff.fetch(["a"]).catch(messageOf);
  expect(told).toBe("its link is open for images ahead of need Daily 22:00-06:00 UTC");
  await putOff.fetch(["broken", "b", "a"]).catch(messageOf);
  await pass(9 * HOUR_MS);
  expect(fetched).toEqual([]);
  await pass(24 * HOUR_MS);
  expect(fetched).toEqual([
    ["a", 22],
    ["b", 22],
  ]);
});

test("nothing comes any more once the node ends", async () => {
  const { putOff, fetched, pass } = aNode({ windows: night });
  await putOff.fetch(["a"]).catch(messageOf);
  putOff.close();
  await pass(24 * HOUR_MS);
  expect(fetched).toEqual([]);
});
