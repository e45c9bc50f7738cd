import { X509Certificate } from "node:crypto";
import * as tls from "node:tls";
import { MANIFEST_TYPES } from "../core/oci/manifest.ts";
import { wireNameOf } from "../core/oci/reference.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { ImageSource, SourceManifest } from "../images/mirror.ts";
import type { Identity } from "../model/join.ts";
import { formatServerAddress, splitServerAddress } from "../model/server-address.ts";
import { PEER_PORT } from "../model/image-peer.ts";
import { checkPeer } from "../pki/check-peer.ts";
import { blobOf, broken, manifestOf, requestImage } from "./image-request.ts";
import type { ServerImages } from "./server-images.ts";

const CONNECT_WITHIN_MS = 5000;
/** So many nodes are asked where no server says which ones have it. */
const STRANGERS_MAX = 8;
/** A node that gave wrong bytes, or none, is not asked again for so long. */
const ASIDE_MS = 60_000;
/** How often the nodes that a server named are asked, before it is asked for the blob itself. */
const ROUNDS = 3;
const ROUND_PAUSE_MS = 300;

export interface PeerImagesOptions {
  server: ServerImages;
  identity: () => Identity;
  clock: Clock;
  log: Log;
  /** Where this node gives others what it has; undefined: nowhere. */
  peerPort: () => number | undefined;
  /** Addresses of other nodes, in any order: they are asked while no server answers. */
  nodes: () => string[];
}

/**
 * Images from other nodes before they come from a server: the server says who has a blob, or is
 * getting it, and gives it itself where nobody can. While no server answers, other nodes are asked.
 * Whatever comes is held against its digest, so a node that gives wrong bytes does no harm.
 */
export class PeerImages implements ImageSource {
  readonly #options: PeerImagesOptions;
  /** Until when a node is not asked, by its address. */
  readonly #aside = new Map<string, number>();
  /** Whom each blob under way came from last: blamed when it is not what it should be. */
  readonly #givers = new Map<string, string>();

  constructor(options: PeerImagesOptions) {
    this.#options = options;
  }

  async manifest(repository: string, reference: string): Promise<SourceManifest | undefined> {
    const { server, log } = this.#options;
    try {
      return await server.manifest(repository, reference);
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "unreachable") throw error;
      log.info(`other nodes are asked for ${repository}: ${messageChainOf(error)}`);
    }
    const path = `/v2/${wireNameOf(repository)}/manifests/${reference}`;
    for (const peer of this.#strangers()) {
      const response = await this.#ask(peer, path, { accept: MANIFEST_TYPES.join(", ") });
      if (response !== undefined) return manifestOf(response);
    }
    throw broken("neither a server nor another node gives the image");
  }

  async blob(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const { server, peerPort, clock } = this.#options;
    for (let round = 0; ; round++) {
      const insist = round === ROUNDS;
      const found = await server
        .ask(repository, digest, from, { peerPort: peerPort(), insist })
        .catch((error: unknown) => {
          if (!(error instanceof OrchdError) || error.code !== "unreachable") throw error;
          return { type: "peers", peers: this.#strangers(), cause: error } as const;
        });
      if (found === undefined) return undefined;
      if (found.type === "bytes") return found.bytes;
      const bytes = await this.#fromPeers(found.peers, repository, digest, from);
      if (bytes !== undefined) return bytes;
      if ("cause" in found) throw found.cause;
      if (insist) throw broken("the server names only nodes that can't give the blob");
      await new Promise<void>((go) => clock.after(ROUND_PAUSE_MS, go));
    }
  }

  /** What came of a blob was not what it should be: whoever gave it is left alone for a while. */
  blame(digest: string): void {
    const giver = this.#givers.get(digest);
    if (giver === undefined) return;
    this.#options.log.warn(`the node at ${giver} gave wrong bytes, and is not asked for a while`);
    this.#setAside(giver);
  }

  async #fromPeers(
    peers: readonly string[],
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = `/v2/${wireNameOf(repository)}/blobs/${digest}`;
    for (const peer of peers.filter((one) => !this.#isAside(one))) {
      const response = await this.#ask(peer, path, from === 0 ? {} : { range: `bytes=${from}-` });
      if (response === undefined) continue;
      this.#givers.set(digest, peer);
      return blobOf(response, from);
    }
    this.#givers.delete(digest);
    return undefined;
  }

  /** Undefined when the node does not have it, has too much to do, or can't be reached. */
  async #ask(peer: string, path: string, headers: Record<string, string>) {
    try {
      const secure = await this.#connect(peer);
      const response = await requestImage(secure, peer, path, headers);
      if ([200, 206, 416].includes(response.statusCode ?? 0)) return response;
      response.destroy();
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      this.#setAside(peer);
    }
    return undefined;
  }

  #strangers(): string[] {
    const addresses = this.#options.nodes().map((one) => formatServerAddress(one, PEER_PORT));
    return addresses.filter((one) => !this.#isAside(one)).slice(0, STRANGERS_MAX);
  }

  #isAside(peer: string): boolean {
    return (this.#aside.get(peer) ?? -Infinity) > this.#options.clock.monotonicNow();
  }

  #setAside(peer: string): void {
    const now = this.#options.clock.monotonicNow();
    for (const [other, until] of this.#aside) if (until <= now) this.#aside.delete(other);
    this.#aside.set(peer, now + ASIDE_MS);
  }

  /** A node has a certificate of the cluster, whatever its address. */
  #connect(peer: string): Promise<tls.TLSSocket> {
    const { caCertificate, certificate, key } = this.#options.identity();
    const ca = new X509Certificate(caCertificate);
    return new Promise((resolve, reject) => {
      const socket = tls.connect({
        ...splitServerAddress(peer),
        key,
        cert: certificate,
        minVersion: "TLSv1.3",
        // Who it is is decided below: its certificate is no server's and names no host.
        rejectUnauthorized: false,
      }) as tls.TLSSocket;
      const fail = (cause?: Error) => {
        timer.cancel();
        socket.destroy();
        reject(broken(`the node at ${peer} can't be reached`, cause));
      };
      const timer = this.#options.clock.after(CONNECT_WITHIN_MS, () => fail());
      socket.on("error", fail);
      socket.on("close", () => fail());
      socket.on("secureConnect", () => {
        const { raw } = socket.getPeerCertificate() as Partial<tls.PeerCertificate>;
        const check = raw && checkPeer(raw, ca, this.#options.clock.now());
        if (check === undefined || check.state === "refused") return fail();
        timer.cancel();
        resolve(socket);
      });
    });
  }
}
