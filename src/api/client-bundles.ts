import type {
  BundleKeys,
  BundleParts,
  BundleRequest,
  BundleResult,
  BundleSignature,
} from "../model/bundle.ts";
import type { Transport } from "./client-transport.ts";

/** What the API has for bundles. */
export class BundleCalls {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  keys(): Promise<BundleKeys> {
    return this.#call("GET", "/v1/bundles/keys");
  }

  /** What the cluster gives to a bundle. */
  parts(request: BundleRequest): Promise<BundleParts> {
    return this.#call("POST", "/v1/bundles/parts", request);
  }

  /** The cluster's signature for what a bundle says of itself. */
  sign(text: string): Promise<BundleSignature> {
    return this.#call("POST", "/v1/bundles/signature", { text });
  }

  /** Digests of all blobs that the site has. */
  blobs(): Promise<string[]> {
    return this.#call("GET", "/v1/bundles/blobs");
  }

  /** A blob's bytes; its digest tells whether all of them came. */
  blob(digest: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const path = `/v1/bundles/blob?digest=${encodeURIComponent(digest)}`;
    return this.#transport.download({ method: "GET", path }, signal);
  }

  /**
   * @param options.trust a public key, PEM, whose bundles are taken besides those of the cluster
   * @param options.executablesOnly takes nothing of it but executables of orchd
   */
  apply(
    bundle: ReadableStream<Uint8Array>,
    options: { trust?: string | undefined; executablesOnly?: boolean } = {},
  ): Promise<BundleResult> {
    const query = new URLSearchParams();
    if (options.trust !== undefined) query.set("trust", options.trust);
    if (options.executablesOnly === true) query.set("executablesOnly", "true");
    const path = query.size === 0 ? "/v1/bundles" : `/v1/bundles?${query.toString()}`;
    const request = { method: "POST", path, upload: bundle } as const;
    return this.#transport.call(request) as Promise<BundleResult>;
  }

  /** Takes as long as it takes: images are large. */
  #call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
    // The server made the answer from the same type.
    return this.#transport.call({ method, path, body }) as Promise<T>;
  }
}
