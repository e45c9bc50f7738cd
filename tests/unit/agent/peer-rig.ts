import { PeerImages } from "../../../src/agent/peer-images.ts";
import { PeerPort } from "../../../src/agent/peer-port.ts";
import type { ServerBlob, ServerImages } from "../../../src/agent/server-images.ts";
import { type PeerAnswer, smallAnswer } from "../../../src/images/peer-answer.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Identity } from "../../../src/model/join.ts";
import { quiet } from "../images/rig.ts";
import { aJoinedNode, type TestCluster } from "../server/port-rig.ts";

export const REPOSITORY = "localhost/web";

const ports: PeerPort[] = [];
let givers = 0;

export async function closeGivers(): Promise<void> {
  await Promise.all(ports.splice(0).map((port) => port.close()));
}

export async function anIdentity(cluster: TestCluster, name: string): Promise<Identity> {
  const { key, certificate, nodeId } = await aJoinedNode(cluster, name);
  const caCertificate = cluster.authority.certificate.toString();
  return { nodeId, name, key, certificate, caCertificate, servers: [], gossipKeys: [] };
}

/** A node that gives others what `answer` says; answers where. */
export async function aGiver(
  cluster: TestCluster,
  answer: (request: Request) => Promise<Response | PeerAnswer>,
  isMember: () => boolean = () => true,
): Promise<string> {
  const own = await anIdentity(cluster, `giver${++givers}`);
  const options = {
    identity: () => own,
    clock: cluster.clock,
    log: quiet,
    isMember,
    answer: async (request: Request) => {
      const given = await answer(request);
      return given instanceof Response ? smallAnswer(given) : given;
    },
  };
  const port = await PeerPort.open(options, 0);
  if (port === undefined) throw new Error("the giver has no port");
  ports.push(port);
  return `127.0.0.1:${port.port}`;
}

/** A server that names these nodes, or is away; what it was asked is written down. */
export function aServer(named: string[] | undefined) {
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

export async function aTaker(
  cluster: TestCluster,
  server: ServerImages,
  clock: Clock = cluster.clock,
): Promise<PeerImages> {
  const identity = await anIdentity(cluster, "taker");
  const [peerPort, nodes] = [() => undefined, () => []];
  return new PeerImages({ server, identity: () => identity, clock, log: quiet, peerPort, nodes });
}

export async function textOf(bytes: AsyncIterable<Uint8Array> | undefined): Promise<string> {
  let text = "";
  for await (const piece of bytes ?? []) text += Buffer.from(piece).toString();
  return text;
}
