import { systemClock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { systemRandom } from "../lib/random.ts";
import { LinkUse } from "../images/link-use.ts";
import { PEER_PORT } from "../model/image-peer.ts";
import type { Identity } from "../model/join.ts";
import type { NodeId } from "../model/ids.ts";
import type { NodeLink } from "../model/link.ts";
import type { MapNode } from "../model/network-map.ts";
import { PeerImages } from "./peer-images.ts";
import { PeerPort } from "./peer-port.ts";
import { ServerImages } from "./server-images.ts";
import { SiteImages } from "./site-images.ts";

export interface NodeImagesOptions {
  dataDir: string;
  log: Log;
  nodeId: NodeId;
  /** As it is now: certificates are renewed. */
  identity: () => Identity;
  /** The other nodes of the cluster, as far as this one knows them. */
  members: () => MapNode[];
  /** How this node's link may be used; undefined means as far as it goes. */
  link: () => NodeLink | undefined;
}

/** The images of a node that is no server: from other nodes and servers, and to other nodes. */
export interface NodeImages {
  site: SiteImages;
  /** The node has a new certificate. */
  renew(): void;
  close(): Promise<void>;
}

/** @throws OrchdError `noSpace`, `internal` */
export async function openImages(options: NodeImagesOptions): Promise<NodeImages> {
  const { dataDir, log, identity, members } = options;
  const clock = systemClock;
  const link = new LinkUse(clock, options.link);
  const open: { port?: PeerPort | undefined } = {};
  const source = new PeerImages({
    server: new ServerImages(identity),
    identity,
    clock,
    log,
    isCapped: () => link.isCapped,
    peerPort: () => (open.port === undefined ? 0 : PEER_PORT),
    // Another order at each node and each time, so that none is asked by all.
    nodes: () => shuffled(members().map(({ address }) => address)),
  });
  const site = await SiteImages.open({ dataDir, clock, log, source, link });
  open.port = await PeerPort.open({
    identity,
    clock,
    log,
    isMember: (nodeId) => {
      const known = members();
      // A node without a map knows nobody, and goes by certificates.
      return known.length === 0 || known.some(({ id }) => id === nodeId);
    },
    answer: (request) => site.answerPeer(request),
  });
  return {
    site,
    renew: () => open.port?.renew(),
    async close() {
      await open.port?.close();
      await site.close();
    },
  };
}

function shuffled(addresses: readonly string[]): string[] {
  const keyed = addresses.map((address) => ({ address, at: systemRandom.next() }));
  return keyed.sort((a, b) => a.at - b.at).map(({ address }) => address);
}
