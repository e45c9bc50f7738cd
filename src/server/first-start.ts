import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import { put } from "../model/change.ts";
import { CLUSTER_ID, CLUSTER_RANGE_DEFAULT, type Cluster } from "../model/cluster.ts";
import { formatToken, newSecret } from "../model/token-text.ts";
import { newAuthority } from "../pki/authority.ts";
import type { Store } from "../store/store.ts";
import { caDigestIn, clusterIn } from "./cluster-keys.ts";
import { commitFresh } from "./commit-fresh.ts";
import { newGossipKey } from "./gossip-keys.ts";
import { newToken } from "./tokens.ts";

/** How long the first token lives: whoever begins a cluster has a day to bring machines in. */
const FIRST_TOKEN_MS = 86_400_000;

/** Makes what makes a cluster at its first start: its authority and its gossip key. */
export async function ensureCluster(store: Store, clock: Clock): Promise<void> {
  if (store.view().cluster !== undefined) return;
  const ca = await newAuthority();
  const cluster: Cluster = {
    id: CLUSTER_ID,
    caCertificate: ca.certificate,
    caKey: ca.key,
    gossipKeys: [newGossipKey()],
    range: CLUSTER_RANGE_DEFAULT,
    networkMode: "vxlan",
    createdAt: clock.now(),
    version: 0,
  };
  const { ok } = await store.commit([put.cluster(cluster)]);
  assert(ok, "nobody else writes before the server has started");
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
