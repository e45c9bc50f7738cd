import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import { put } from "../model/change.ts";
import { CLUSTER_ID, type Cluster } from "../model/cluster.ts";
import { formatToken, newSecret } from "../model/token-text.ts";
import { newAuthority } from "../pki/authority.ts";
import type { Store } from "../store/store.ts";
import { caDigestIn, clusterIn } from "./cluster-keys.ts";
import { newToken } from "./tokens.ts";

const GOSSIP_KEY_BYTES = 32;
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
    createdAt: clock.now(),
    version: 0,
  };
  const { ok } = await store.commit([put.cluster(cluster)]);
  assert(ok, "nobody else writes before the server has started");
}

/**
 * Makes the first join token of a cluster in which nothing was written yet but the cluster itself,
 * and answers its text, which nothing can tell again. Undefined in every other cluster.
 */
export async function firstToken(
  store: Store,
  clock: Clock,
  random: Random,
): Promise<string | undefined> {
  const view = store.view();
  if (clusterIn(view).version !== view.version) return undefined;
  const secret = newSecret(random);
  const request = {
    kind: "join",
    description: "made at the first start",
    expiresInMs: FIRST_TOKEN_MS,
  } as const;
  const token = newToken(newId<"token">(random), secret, request, clock.now());
  const { ok } = await store.commit([put.token(token)]);
  return ok ? formatToken({ caDigest: caDigestIn(store.view()), secret }) : undefined;
}

function newGossipKey(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(GOSSIP_KEY_BYTES))).toString("base64");
}
