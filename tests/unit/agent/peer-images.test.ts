import { afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { anImage, aRegistry, give, sha256, withStore } from "../images/rig.ts";
import { aCluster } from "../server/port-rig.ts";
import { aGiver, aServer, aTaker, closeGivers, REPOSITORY, textOf } from "./peer-rig.ts";

const image = anImage();
const DIGEST = sha256(image.layer);

afterEach(closeGivers);

describe("a node gets a blob", () => {
  test("from the node that the server names, from where it left off", () =>
    withStore(async (store) => {
      await give(store, REPOSITORY, "1", image);
      const registry = aRegistry(store);
      const cluster = await aCluster();
      const giver = await aGiver(cluster, (request) => registry.answer(request));
      const { server, asked } = aServer([giver]);
      const taker = await aTaker(cluster, server);
      expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 0))).toBe("a layer: hello");
      expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 9))).toBe("hello");
      expect(asked).toEqual([false, false]);
    }));

  test("from the server when the node has too much to do, lacks it, or is no node", async () => {
    const cluster = await aCluster();
    const giver = await aGiver(cluster, async () => new Response("", { status: 404 }));
    const { server, asked } = aServer([giver, "127.0.0.1:1"]);
    const taker = await aTaker(cluster, server);
    expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 0))).toBe("from the server");
    expect(asked.at(-1)).toBe(true);
  });

  test("never from one of another cluster, nor does it give one anything", async () => {
    const [cluster, other] = [await aCluster(), await aCluster()];
    const seen: string[] = [];
    const giver = await aGiver(cluster, async ({ url }) => {
      seen.push(url);
      return new Response("wrong");
    });
    const { server } = aServer([giver]);
    const stranger = await aTaker(other, server);
    expect(await textOf(await stranger.blob(REPOSITORY, DIGEST, 0))).toBe("from the server");
    expect(seen).toEqual([]);
  });

  test("from the server when the node takes the connection and says nothing", async () => {
    const cluster = await aCluster();
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    try {
      const { server } = aServer([`127.0.0.1:${(silent.address() as AddressInfo).port}`]);
      const hurried: Clock = {
        ...systemClock,
        after: (ms, run) => systemClock.after(Math.min(ms, 50), run),
      };
      const taker = await aTaker(cluster, server, hurried);
      expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 0))).toBe("from the server");
    } finally {
      silent.close();
    }
  });

  test("not once it was removed from the cluster", async () => {
    const cluster = await aCluster();
    const answer = async () => new Response("a blob");
    const giver = await aGiver(cluster, answer, () => false);
    const taker = await aTaker(cluster, aServer([giver]).server);
    expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 0))).toBe("from the server");
  });

  test("not from a node that gave it wrong bytes, for a minute", async () => {
    const cluster = await aCluster();
    let answers = 0;
    const giver = await aGiver(cluster, async () => new Response(`wrong ${++answers}`));
    const { server } = aServer([giver]);
    const taker = await aTaker(cluster, server);
    expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 0))).toBe("wrong 1");
    taker.blame(DIGEST);
    expect(await textOf(await taker.blob(REPOSITORY, DIGEST, 0))).toBe("from the server");
    expect(answers).toBe(1);
  });

  test("not when neither a server nor another node is there", async () => {
    const cluster = await aCluster();
    const taker = await aTaker(cluster, aServer(undefined).server);
    expect(await taker.blob(REPOSITORY, DIGEST, 0).catch(String)).toContain("no server is there");
  });
});
