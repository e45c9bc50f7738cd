import { MANIFEST_TYPES } from "../core/oci/manifest.ts";
import { wireNameOf } from "../core/oci/reference.ts";
import { CHUNK_BYTES, gatherChunks } from "../images/gather-chunks.ts";
import type { ImageSource, SourceManifest } from "../images/mirror.ts";
import type { Clock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { PEER_PORT } from "../model/image-peer.ts";
import type { Identity } from "../model/join.ts";
import { formatServerAddress } from "../model/server-address.ts";
import { blobOf, broken, type ImageAnswer, manifestOf } from "./image-request.ts";
import { partIn, PeerGiver, rangeHeader } from "./peer-giver.ts";
import { PeerLine, type PeerLineOptions } from "./peer-line.ts";
import type { ServerImages } from "./server-images.ts";

/** So many nodes are asked where no server says which ones have it. */
const STRANGERS_MAX = 8;
/** So many give chunks of one blob at once. */
const GIVERS_MAX = 3;
/** Blobs of which it is remembered who gave them. */
const GIVERS_KEPT_MAX = 256;
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
  /** Whether the node's link is not to be used as far as it goes. */
  isCapped?: () => boolean;
  /** Addresses of other nodes, in any order: they are asked while no server answers. */
  nodes: () => string[];
}

interface BegunBlob {
  line: PeerLine;
  answer: ImageAnswer;
  peer: string;
  path: string;
  from: number;
  others: readonly string[];
  givers: Set<string>;
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
  /** Whom each blob came from: blamed when it is not what it should be. */
  readonly #givers = new Map<string, Set<string>>();
  readonly #connecting: PeerLineOptions;

  constructor(options: PeerImagesOptions) {
    this.#options = options;
    const { identity, clock } = options;
    this.#connecting = { identity, clock, onGone: (peer) => this.#setAside(peer) };
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
      const found = await this.#ask(peer, path, { accept: MANIFEST_TYPES.join(", ") });
      if (found !== undefined) return manifestOf(found.answer).finally(() => found.line.close());
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

  /** What came of a blob was not what it should be: who gave of it is left alone for a while. */
  blame(digest: string): void {
    for (const giver of this.#givers.get(digest) ?? []) {
      this.#options.log.warn(`the node at ${giver} gave wrong bytes, and is not asked for a while`);
      this.#setAside(giver);
    }
  }

  async #fromPeers(
    peers: readonly string[],
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = `/v2/${wireNameOf(repository)}/blobs/${digest}`;
    const fit = peers.filter((one) => !this.#isAside(one));
    const givers = this.#giversOf(digest, from);
    for (const [at, peer] of fit.entries()) {
      // What comes ahead of its turn would come as fast as it can.
      const others = this.#options.isCapped?.() ? [] : fit.slice(at + 1, at + GIVERS_MAX);
      const rest: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-` };
      const first = rangeHeader({ start: from, end: from + CHUNK_BYTES });
      const found = await this.#ask(peer, path, others.length === 0 ? rest : first);
      if (found === undefined) continue;
      givers.add(peer);
      return this.#bytesOf({ ...found, peer, path, from, others, givers });
    }
    return undefined;
  }

  /** From a node as it comes there, or from it and others in chunks, if it has all of the blob. */
  async *#bytesOf(begun: BegunBlob): AsyncGenerator<Uint8Array> {
    const { line, answer, peer, path, from, others, givers } = begun;
    const part = others.length === 0 ? undefined : partIn(answer);
    const connecting = this.#connecting;
    const onChunk = (giver: string) => void givers.add(giver);
    const open = [
      new PeerGiver({ peer, path, line, connecting, onChunk }),
      ...others.map((other) => new PeerGiver({ peer: other, path, connecting, onChunk })),
    ];
    try {
      yield* blobOf(answer, from);
      if (part !== undefined) yield* gatherChunks({ start: part.end, end: part.size }, open);
    } finally {
      for (const giver of open) giver.close();
    }
  }

  /** Who gave of a blob up to this byte. */
  #giversOf(digest: string, from: number): Set<string> {
    const known = from === 0 ? undefined : this.#givers.get(digest);
    const givers = known ?? new Set<string>();
    this.#givers.delete(digest);
    this.#givers.set(digest, givers);
    for (const oldest of this.#givers.keys()) {
      if (this.#givers.size <= GIVERS_KEPT_MAX) break;
      this.#givers.delete(oldest);
    }
    return givers;
  }

  /** Undefined when the node does not have it, has too much to do, or can't be reached. */
  async #ask(peer: string, path: string, headers: Record<string, string>) {
    try {
      const line = await PeerLine.open(peer, this.#connecting);
      const answer = await line.ask(path, headers);
      if ([200, 206, 416].includes(answer.status)) return { line, answer };
      line.close();
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      this.#options.log.info(messageChainOf(error));
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
}
