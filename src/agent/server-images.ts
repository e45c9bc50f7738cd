import { connectServer } from "../api/client-connect.ts";
import { MANIFEST_TYPES } from "../core/oci/manifest.ts";
import { wireNameOf } from "../core/oci/reference.ts";
import type { ImageSource, SourceManifest } from "../images/mirror.ts";
import { elsewhereSchema, INSIST_HEADER, PEER_HEADER } from "../model/image-peer.ts";
import type { Identity } from "../model/join.ts";
import {
  blobOf,
  broken,
  type ImageAnswer,
  manifestOf,
  requestImage,
  textOf,
} from "./image-request.ts";

const LIST_BYTES_MAX = 64 * 1024;

/** Where a blob comes from: here are its bytes, or other nodes have it. */
export type ServerBlob =
  { type: "bytes"; bytes: AsyncIterable<Uint8Array> } | { type: "peers"; peers: string[] };

/** The images of the cluster's servers, as a node reaches them with its own certificate. */
export class ServerImages implements ImageSource {
  readonly #identity: () => Identity;

  /** @param identity as it is now: certificates are renewed, and servers change */
  constructor(identity: () => Identity) {
    this.#identity = identity;
  }

  async manifest(repository: string, reference: string): Promise<SourceManifest | undefined> {
    const path = `/v2/${wireNameOf(repository)}/manifests/${reference}`;
    const answer = await this.#get(path, { accept: MANIFEST_TYPES.join(", ") });
    return answer && manifestOf(answer);
  }

  async blob(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const found = await this.ask(repository, digest, from, { insist: true });
    return found?.type === "bytes" ? found.bytes : undefined;
  }

  /**
   * The blob, or which nodes can be asked for it; undefined when the server does not have it.
   * @param options.peerPort where this node gives others what it has; absent means nowhere
   * @param options.insist no other node could give it
   */
  async ask(
    repository: string,
    digest: string,
    from: number,
    options: { peerPort?: number | undefined; insist: boolean },
  ): Promise<ServerBlob | undefined> {
    const path = `/v2/${wireNameOf(repository)}/blobs/${digest}`;
    const answer = await this.#get(path, {
      ...(from === 0 ? {} : { range: `bytes=${from}-` }),
      ...(options.peerPort === undefined ? {} : { [PEER_HEADER]: String(options.peerPort) }),
      ...(options.insist ? { [INSIST_HEADER]: "1" } : {}),
    });
    if (answer === undefined) return undefined;
    if (answer.status !== 303) return { type: "bytes", bytes: blobOf(answer, from) };
    return { type: "peers", peers: peersIn(await textOf(answer, LIST_BYTES_MAX)) };
  }

  /** The answer of the first server that can be reached; undefined when it does not have that. */
  async #get(path: string, headers: Record<string, string>): Promise<ImageAnswer | undefined> {
    let problem: unknown = broken("no address of a server is known");
    for (const server of this.#identity().servers) {
      try {
        const { caCertificate: ca, certificate, key } = this.#identity();
        const secure = await connectServer({ server, ca, identity: { certificate, key } });
        const answer = await requestImage({ secure, to: server }, path, headers);
        const { status } = answer;
        if ([200, 206, 303, 416].includes(status)) return answer;
        answer.drop();
        if (status === 404) return undefined;
        problem = broken(`${server} gives no images: it answered ${status}`);
      } catch (error) {
        // Another server may be in reach; what the last one said is told.
        problem = error;
      }
    }
    throw problem;
  }
}

function peersIn(text: Buffer): string[] {
  try {
    return elsewhereSchema.parse(JSON.parse(text.toString())).peers;
  } catch (cause) {
    throw broken("the server does not say which nodes have the image", cause);
  }
}
