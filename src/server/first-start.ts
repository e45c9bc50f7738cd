import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import { put } from "../model/change.ts";
import { CLUSTER_ID, type Cluster } from "../model/cluster.ts";
import { formatToken, newSecret } from "../model/token-text.ts";
import { newAuthority } from "../pki/authority.ts";
import type { Store } from "../store/store.ts";
import { caDigestIn } from "./cluster-keys.ts";
import { newGossipKey } from "./gossip-keys.ts";
import { newToken } from "./tokens.ts";

/** How long the first token lives: whoever begins a cluster has a day to bring machines in. */
const FIRST_TOKEN_MS = 86_400_000;

/**
 * Makes what makes a cluster at its first start: its authority, its gossip key and a join token, in
 * one commit. Answers that token's text then, which nothing can tell again; later undefined.
 */
export async function ensureCluster(
  store: Store,
  clock: Clock,
  random: Random,
): Promise<string | undefined> {
  if (store.view().cluster !== undefined) return undefined;
  const ca = await newAuthority();
  const now = clock.now();
  const cluster: Cluster = {
    id: CLUSTER_ID,
    caCertificate: ca.certificate,
    caKey: ca.key,
    gossipKeys: [newGossipKey()],
    createdAt: now,
    version: 0,
  };
  const secret = newSecret(random);
  const token = newToken(
    newId<"token">(random),
    secret,
    { kind: "join", description: "made at the first start", expiresInMs: FIRST_TOKEN_MS },
    now,
  );
  const { ok } = await store.commit([put.cluster(cluster), put.token(token)]);
  assert(ok, "nobody else writes before the server has started");
  return formatToken({ caDigest: caDigestIn(store.view()), secret });
}
