import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import { newRange6, UNIQUE_BYTES } from "../core/network/address6.ts";
import { parseRange, RANGE_RULE } from "../core/network/subnets.ts";
import { OrchdError } from "../lib/errors.ts";
import { put } from "../model/change.ts";
import { CLUSTER_ID, CLUSTER_RANGE_DEFAULT, type Cluster } from "../model/cluster.ts";
import type { NetworkMode } from "../model/network-map.ts";
import { formatToken, newSecret } from "../model/token-text.ts";
import { newAuthority } from "../pki/authority.ts";
import type { Store } from "../store/store.ts";
import { caDigestIn, clusterIn } from "./cluster-keys.ts";
import { commitFresh } from "./commit-fresh.ts";
import { newGossipKey } from "./gossip-keys.ts";
import { newToken } from "./tokens.ts";

/** How long the first token lives: whoever begins a cluster has a day to bring machines in. */
const FIRST_TOKEN_MS = 86_400_000;

/** What a server was asked to make of the cluster's network; absent means as it is. */
export interface NetworkWish {
  /** The addresses of all tasks and services: only a new cluster can be given another range. */
  range?: string | undefined;
  mode?: NetworkMode | undefined;
  /** Whether tasks have IPv6 addresses too: only of a new cluster. */
  ipv6?: boolean | undefined;
}

/**
 * Makes what makes a cluster at its first start: its authority, its gossip key and its range.
 * @throws OrchdError `invalid` for a range that is none or a mode that can't carry IPv6, `conflict`
 * for what a cluster can't be given later
 */
export async function ensureCluster(
  store: Store,
  clock: Clock,
  wish: NetworkWish = {},
): Promise<void> {
  const { range, mode, ipv6 = false } = wish;
  if (range !== undefined && parseRange(range) === undefined) {
    throw new OrchdError("invalid", `--cluster-range ${RANGE_RULE}`);
  }
  const known = store.view().cluster;
  if (known !== undefined) return changeNetwork(store, known, wish);
  if (ipv6) refuseWithoutTunnel(mode);
  const ca = await newAuthority();
  const cluster: Cluster = {
    id: CLUSTER_ID,
    caCertificate: ca.certificate,
    caKey: ca.key,
    gossipKeys: [newGossipKey()],
    range: range ?? CLUSTER_RANGE_DEFAULT,
    ...(ipv6 ? { range6: newRange6(crypto.getRandomValues(new Uint8Array(UNIQUE_BYTES))) } : {}),
    networkMode: mode ?? "vxlan",
    createdAt: clock.now(),
    version: 0,
  };
  const { ok } = await store.commit([put.cluster(cluster)]);
  assert(ok, "nobody else writes before the server has started");
}

/** The way between nodes can be another one at any time; addresses that were given stay. */
async function changeNetwork(store: Store, known: Cluster, wish: NetworkWish): Promise<void> {
  const { range = known.range, mode = known.networkMode } = wish;
  if (range !== known.range) {
    const message =
      `the cluster's range is ${known.range} since it was made, and its tasks have addresses of ` +
      `it: start without --cluster-range, or with another --data-dir for a new cluster`;
    throw new OrchdError("conflict", message);
  }
  if (wish.ipv6 === true && known.range6 === undefined) {
    const message =
      "the cluster's tasks have IPv4 addresses alone since it was made: start without --ipv6, or " +
      "with another --data-dir for a new cluster";
    throw new OrchdError("conflict", message);
  }
  if (mode === known.networkMode) return;
  if (known.range6 !== undefined) refuseWithoutTunnel(mode);
  const { ok } = await store.commit([put.cluster({ ...known, networkMode: mode })]);
  assert(ok, "nobody else writes before the server has started");
}

/** Other nodes are next hops by their IPv4 addresses there, which no packet of IPv6 can go by. */
function refuseWithoutTunnel(mode: NetworkMode | undefined): void {
  if (mode !== "host-gw") return;
  const message =
    "IPv6 of tasks needs a tunnel between nodes: start with --network vxlan or wireguard";
  throw new OrchdError("invalid", message);
}

/**
 * Makes the first join token of a cluster that never had one, and answers its text, which nothing
 * can tell again; undefined later. A start that broke off before is made up for by the next one,
 * and whoever revoked every token gets none behind their back.
 */
export async function firstToken(
  store: Store,
  clock: Clock,
  random: Random,
): Promise<string | undefined> {
  const secret = newSecret(random);
  const request = {
    kind: "join",
    description: "made at the first start",
    expiresInMs: FIRST_TOKEN_MS,
  } as const;
  const now = clock.now();
  const token = newToken(newId<"token">(random), secret, request, now);
  let isMade = false;
  await commitFresh(store, (view) => {
    const cluster = clusterIn(view);
    isMade = cluster.firstTokenAt === undefined;
    return isMade ? [put.cluster({ ...cluster, firstTokenAt: now }), put.token(token)] : [];
  });
  return isMade ? formatToken({ caDigest: caDigestIn(store.view()), secret }) : undefined;
}
