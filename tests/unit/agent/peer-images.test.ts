import { afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { PeerImages } from "../../../src/agent/peer-images.ts";
import { PeerPort } from "../../../src/agent/peer-port.ts";
import type { ServerBlob, ServerImages } from "../../../src/agent/server-images.ts";
import { smallAnswer } from "../../../src/images/peer-answer.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Identity } from "../../../src/model/join.ts";
import { anImage, aRegistry, give, quiet, sha256, withStore } from "../images/rig.ts";
import { aCluster, aJoinedNode, type TestCluster } from "../server/port-rig.ts";

const REPOSITORY = "localhost/web";
const image = anImage();
const DIGEST = sha256(image.layer);

let port: PeerPort | undefined;
afterEach(() => port?.close());

async function anIdentity(cluster: TestCluster, name: string): Promise<Identity> {
  const { key, certificate, nodeId } = await aJoinedNode(cluster, name);
  const caCertificate = cluster.authority.certificate.toString();
  return { nodeId, name, key, certificate, caCertificate, servers: [], gossipKeys: [] };
}

/** A node that gives others what `answer` says. */
async function aGiver(
  cluster: TestCluster,
  answer: (request: Request) => Promise<Response>,
  isMember: () => boolean = () => true,
): Promise<string> {
  const own = await anIdentity(cluster, "giver");
  const { clock } = cluster;
  const options = {
    identity: () => own,
    clock,
    log: quiet,
    isMember,
    answer: async (request: Request) => smallAnswer(await answer(request)),
  };
  port = await PeerPort.open(options, 0);
  return `127.0.0.1:${port?.port ?? 0}`;
}

/** A server that names these nodes, or is away; what it was asked is written down. */
function aServer(named: string[] | undefined) {
  const asked: boolean[] = [];
  const gone = new OrchdError("unreachable", "no server is there", { retryable: true });
  const server = {
    async ask(_: string, __: string, ___: number, { insist }: { insist: boolean }) {
      asked.push(insist);
      if (named === undefined) throw gone;
      const bytes: ServerBlob = { type: "bytes", bytes: new Blob(["from the server"]).stream() };
      return insist ? bytes : ({ type: "peers", peers: named } satisfies ServerBlob);
    },
    manifest: () => Promise.reject(gone),
  };
  return { server: server as unknown as ServerImages, asked };
}

async function aTaker(cluster: TestCluster, server: ServerImages, own?: Identity) {
  const identity = own ?? (await anIdentity(cluster, "taker"));
  const { clock } = cluster;
  const peerPort = () => undefined;
  const nodes = () => [];
  return new PeerImages({ server, identity: () => identity, clock, log: quiet, peerPort, nodes });
}

async function textOf(bytes: AsyncIterable<Uint8Array> | undefined): Promise<string> {
  let text = "";
  for await (const piece of bytes ?? []) text += Buffer.from(piece).toString();
  return text;
}

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
      const identity = await anIdentity(cluster, "taker");
      const hurried: Clock = {
        ...systemClock,
        after: (ms, run) => systemClock.after(Math.min(ms, 50), run),
      };
      const own = { server, identity: () => identity, clock: hurried, log: quiet };
      const taker = new PeerImages({ ...own, peerPort: () => undefined, nodes: () => [] });
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
