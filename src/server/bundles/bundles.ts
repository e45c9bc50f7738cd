import { join } from "node:path";
import type { ApiDeps } from "../../api/deps.ts";
import { bundleManifestSchema, type BundleResult } from "../../model/bundle.ts";
import { OrchdError } from "../../lib/errors.ts";
import { sealingKeyOf } from "../../pki/box.ts";
import { publicPemOf, signBundle } from "../../pki/release-key.ts";
import { clusterIn } from "../cluster-keys.ts";
import { type ApplyDeps, applyExecutables, applyReceived } from "./apply-bundle.ts";
import { bundleParts } from "./bundle-parts.ts";
import { receiveBundle } from "./receive-bundle.ts";
import { requireTrust } from "./trust.ts";

/** Keys in files here are trusted for bundles, besides the cluster's own. */
const RELEASE_KEYS = "release-keys";

export interface BundlesOptions extends ApplyDeps {
  /** Holds the folder of keys that are trusted. */
  dataDir: string;
}

/** Everything for a site in one signed file: what this cluster gives to it, and takes from it. */
export class Bundles {
  readonly #options: BundlesOptions;
  /** One after the other: the second finds what the first has changed. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: BundlesOptions) {
    this.#options = options;
  }

  forPeople(): ApiDeps["bundles"] {
    const { store, images, items } = this.#options;
    return {
      keys: () => ({ sealing: sealingKeyOf(this.#caKey()), signing: publicPemOf(this.#caKey()) }),
      parts: (request) => {
        const contentOf = items.newestContent.bind(items);
        return bundleParts({ view: store.view(), images, contentOf }, request);
      },
      sign: (text) => this.#sign(text),
      blob: async (digest) => {
        const size = await images.sizeOf(digest);
        if (size === undefined) throw new OrchdError("notFound", "there is no such blob here");
        return images.blobs.read(digest);
      },
      blobs: () => images.blobs.list(),
      apply: (source, options) => this.#apply(source, options),
    };
  }

  /** What is no bundle's description gets no signature. */
  #sign(text: string) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // Refused below, as everything else that is none.
    }
    if (!bundleManifestSchema.safeParse(value).success) {
      throw new OrchdError("invalid", "only what a bundle says of itself is signed");
    }
    const publicKey = publicPemOf(this.#caKey());
    return { publicKey, signature: signBundle(this.#caKey(), new TextEncoder().encode(text)) };
  }

  #apply(
    source: AsyncIterable<Uint8Array>,
    { trust: named, executablesOnly }: Parameters<ApiDeps["bundles"]["apply"]>[1],
  ): Promise<BundleResult> {
    const work = this.#turn.then(async () => {
      const { dataDir, images } = this.#options;
      const own = publicPemOf(this.#caKey());
      const trust = { own, named, directory: join(dataDir, RELEASE_KEYS) };
      const received = await receiveBundle(
        { store: images, trust: (opening) => requireTrust(trust, opening) },
        source,
      );
      const applying = { ...this.#options, caKey: this.#caKey() };
      return executablesOnly
        ? applyExecutables(applying, received)
        : applyReceived(applying, received);
    });
    // Told to whoever applied it.
    this.#turn = work.catch(() => {});
    return work;
  }

  #caKey(): string {
    return clusterIn(this.#options.store.view()).caKey;
  }
}
