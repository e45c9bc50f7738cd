import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import { freeSubnet } from "../core/network/subnets.ts";
import { put, type Change } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import {
  type CertificateAnswer,
  type JoinAnswer,
  type JoinRequest,
  nodeNameSchema,
} from "../model/join.ts";
import type { Node } from "../model/node.ts";
import { tokenState } from "../model/token.ts";
import type { View } from "../model/view.ts";
import { NODE_CERTIFICATE_MS } from "../pki/authority.ts";
import { digestOfKey, sameDigest } from "../pki/digest.ts";
import { keyInRequest } from "../pki/request.ts";
import type { Store } from "../store/store.ts";
import { authorityIn, clusterIn } from "./cluster-keys.ts";
import { commitFresh } from "./commit-fresh.ts";
import { tokenWith, usedUp } from "./tokens.ts";

/** Certificates that are asked for again within this time end at the same moment. */
const SAME_CERTIFICATE_MS = 86_400_000;

interface JoinsDeps {
  store: Store;
  clock: Clock;
  random: Random;
  /** `ip:port` of every server. */
  servers: () => string[];
}

/** Who a peer is by its certificate, after all checks. */
export interface Peer {
  nodeId: NodeId;
  keyDigest: string;
}

/** Lets machines become nodes, and gives nodes new certificates. */
export class Joins {
  readonly #deps: JoinsDeps;

  constructor(deps: JoinsDeps) {
    this.#deps = deps;
  }

  /**
   * Makes a node of whoever holds a join token, in one commit with the token's use. The same key
   * is the same node: a machine that did not hear the answer asks again, and costs no second use.
   * @throws OrchdError `unauthorized`, `invalid`, `conflict`; nothing is changed then
   */
  async join(request: JoinRequest): Promise<JoinAnswer> {
    const { store, clock, random, servers } = this.#deps;
    // Who has no token costs no more than looking for it.
    tokenWith(store.view(), request.secret, clock.now());
    const publicKey = await keyInRequest(request.csr);
    const asks = { request, newId: newId<"node">(random), keyDigest: digestOfKey(publicKey) };
    let node = undefined as Node | undefined;
    await commitFresh(store, (view) => {
      const plan = planJoin(view, asks, clock.now());
      node = plan.node;
      return plan.changes;
    });
    assert(node !== undefined, "a plan that was committed has a node");
    const { id, hostname, subnet, certificateExpiresAt = 0 } = node;
    const cluster = clusterIn(store.view());
    const authority = authorityIn(store.view());
    return {
      nodeId: id,
      name: hostname,
      certificate: await authority.issueNode(id, publicKey, certificateExpiresAt),
      caCertificate: cluster.caCertificate,
      gossipKeys: cluster.gossipKeys,
      ...(subnet === undefined ? {} : { subnet }),
      ...(cluster.range6 === undefined ? {} : { range6: cluster.range6 }),
      servers: servers(),
    };
  }

  /**
   * A new certificate for a node that proved its pinned key, whether its old one is still valid or
   * not. A new key is a new node: it has to join.
   * @throws OrchdError `forbidden`, `invalid`
   */
  async renew({ nodeId, keyDigest }: Peer, csr: string): Promise<CertificateAnswer> {
    const { store, clock, servers } = this.#deps;
    const publicKey = await keyInRequest(csr);
    if (!sameDigest(digestOfKey(publicKey), keyDigest)) {
      const message = "a node's certificate is renewed for its own key: join again for another";
      throw new OrchdError("forbidden", message);
    }
    let expiresAt = 0;
    await commitFresh(store, (view) => {
      const node = view.nodes.get(nodeId);
      if (!isPinned(node, keyDigest)) {
        throw new OrchdError("removed", "the node was removed: join again with a token");
      }
      expiresAt = expiryFor(node, clock.now());
      if (expiresAt === node.certificateExpiresAt) return [];
      return [put.node({ ...node, certificateExpiresAt: expiresAt })];
    });
    const authority = authorityIn(store.view());
    return {
      certificate: await authority.issueNode(nodeId, publicKey, expiresAt),
      serverTime: clock.now(),
      servers: servers(),
    };
  }
}

/** Whether the node is there and this is its key: the list of all who are let in. */
export function isPinned(node: Node | undefined, keyDigest: string): node is Node {
  return node?.keyDigest !== undefined && sameDigest(node.keyDigest, keyDigest);
}

interface Asked {
  request: JoinRequest;
  /** For a machine that is no node yet. */
  newId: NodeId;
  keyDigest: string;
}

function planJoin(view: View, asked: Asked, now: number): { node: Node; changes: Change[] } {
  const { request, keyDigest } = asked;
  const token = tokenWith(view, request.secret, now);
  if (token.kind !== "join") {
    const message = "an admin token lets no machine join: make a join token";
    throw new OrchdError("unauthorized", message);
  }
  const known = [...view.nodes.values()].find((node) => isPinned(node, keyDigest));
  if (known === undefined && tokenState(token, now) === "usedUp") throw usedUp(token);
  const name = nameFor(request);
  refuseTakenName(view, name, known);
  const node =
    known === undefined ? newNode(view, asked, name, now) : sameNode(known, asked, name, now);
  const used = known === undefined ? [put.token({ ...token, uses: token.uses + 1 })] : [];
  return { node, changes: [put.node(node), ...used] };
}

function newNode(
  view: View,
  { request, newId, keyDigest }: Asked,
  name: string,
  now: number,
): Node {
  // The runtime in memory gives its tasks no addresses, so that thousands of such nodes fit.
  const subnet =
    request.facts.runtime.name === "fake"
      ? undefined
      : freeSubnet(clusterIn(view).range, view.nodes.values());
  if (subnet === undefined && request.facts.runtime.name !== "fake") {
    const message =
      "the cluster has no range of addresses left: remove a node with `orchd node rm`";
    throw new OrchdError("conflict", message);
  }
  return {
    id: newId,
    ...request.facts,
    hostname: name,
    roles: { server: false, agent: true },
    labels: request.labels,
    ...(request.link && { link: request.link }),
    availability: "active",
    // Until its first session.
    health: "down",
    createdAt: now,
    since: now,
    keyDigest,
    ...(subnet === undefined ? {} : { subnet }),
    certificateExpiresAt: expiryFor(undefined, now),
    version: 0,
  };
}

/** A node that joins again: what it was given stays, what it says now counts. */
function sameNode(known: Node, { request }: Asked, name: string, now: number): Node {
  return {
    ...known,
    ...request.facts,
    hostname: name,
    labels: { ...known.labels, ...request.labels },
    ...(request.link && { link: request.link }),
    certificateExpiresAt: expiryFor(known, now),
  };
}

/** Cut to a second, as it stands in the certificate. */
function expiryFor(node: Node | undefined, now: number): number {
  const fresh = Math.floor((now + NODE_CERTIFICATE_MS) / 1000) * 1000;
  const { certificateExpiresAt: before = 0 } = node ?? {};
  return before <= fresh && fresh - before < SAME_CERTIFICATE_MS ? before : fresh;
}

function nameFor({ name, facts }: JoinRequest): string {
  const parsed = nodeNameSchema.safeParse(name ?? facts.hostname);
  if (parsed.success) return parsed.data;
  const rule = parsed.error.issues[0]?.message ?? "";
  throw new OrchdError("invalid", `the machine's name ${rule}: give it another one with --name`);
}

function refuseTakenName(view: View, name: string, known: Node | undefined): void {
  const other = [...view.nodes.values()].find(
    ({ id, hostname }) => hostname === name && id !== known?.id,
  );
  if (other === undefined) return;
  const message =
    `another machine has joined as ${name}: join with --name and another name, ` +
    `or remove the old one first with \`orchd node rm ${name}\``;
  throw new OrchdError("conflict", message);
}
