import { OrchdError } from "../lib/errors.ts";
import type { Parsed } from "../lib/parsed.ts";
import { put } from "../model/change.ts";
import { type KeySummary, withKey, withoutKey, withPrimary } from "../model/keyring.ts";
import { fingerprintOfKey } from "../pki/digest.ts";
import type { Store } from "../store/store.ts";
import { clusterIn } from "./cluster-keys.ts";
import { commitFresh } from "./commit-fresh.ts";

const KEY_BYTES = 32;

/** 32 random bytes in base 64. */
export function newGossipKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Buffer.from(bytes).toString("base64");
}

/**
 * The keys of the cluster's gossip in the store. Whoever watches it hands changed ones to
 * nodes; one that is away gets them with the welcome of its next session.
 */
export class GossipKeys {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** @param show whether the keys themselves are told */
  list(show: boolean): KeySummary[] {
    return clusterIn(this.#store.view()).gossipKeys.map((key, index) => ({
      fingerprint: fingerprintOfKey(key),
      primary: index === 0,
      ...(show ? { key } : {}),
    }));
  }

  /**
   * Lets all nodes understand a key, which none uses yet. One that is there already is no error.
   * @param key base 64; a random one where it is absent
   * @throws OrchdError `conflict` when there are too many
   */
  async install(key: string = newGossipKey()): Promise<KeySummary> {
    // Another spelling of the same bytes is the same key.
    const text = Buffer.from(key, "base64").toString("base64");
    let primary = false;
    await this.#change((keys) => {
      primary = keys[0] === text;
      return taken(withKey(keys, text));
    });
    return { fingerprint: fingerprintOfKey(text), primary };
  }

  /** Makes a key the one that encrypts. @throws OrchdError `notFound` */
  use(fingerprint: string): Promise<void> {
    return this.#change((keys) => withPrimary(keys, keyNamed(keys, fingerprint)));
  }

  /** @throws OrchdError `notFound`, `conflict` for the primary one */
  remove(fingerprint: string): Promise<void> {
    return this.#change((keys) => taken(withoutKey(keys, keyNamed(keys, fingerprint))));
  }

  #change(next: (keys: readonly string[]) => string[]): Promise<void> {
    return commitFresh(this.#store, (view) => {
      const cluster = clusterIn(view);
      const gossipKeys = next(cluster.gossipKeys);
      const isSame = gossipKeys.join() === cluster.gossipKeys.join();
      return isSame ? [] : [put.cluster({ ...cluster, gossipKeys })];
    });
  }
}

function keyNamed(keys: readonly string[], fingerprint: string): string {
  const key = keys.find((each) => fingerprintOfKey(each) === fingerprint);
  if (key !== undefined) return key;
  throw new OrchdError("notFound", "there is no such gossip key: `orchd keyring ls` lists them");
}

function taken(keys: Parsed<string[]>): string[] {
  if (keys.ok) return keys.value;
  throw new OrchdError("conflict", keys.problem);
}
