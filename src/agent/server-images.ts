import { request, type IncomingMessage } from "node:http";
import { connectServer } from "../api/client-connect.ts";
import { MANIFEST_BYTES_MAX, MANIFEST_TYPES } from "../core/oci/manifest.ts";
import { wireNameOf } from "../core/oci/reference.ts";
import { OrchdError } from "../lib/errors.ts";
import type { ImageSource, SourceManifest } from "../images/mirror.ts";
import type { Identity } from "../model/join.ts";

/** A server that says nothing for so long is taken for gone; a transfer is gone on with then. */
const SILENCE_MAX_MS = 30_000;

/** The images of the cluster's servers, as a node reaches them with its own certificate. */
export class ServerImages implements ImageSource {
  readonly #identity: () => Identity;

  /** @param identity as it is now: certificates are renewed, and servers change */
  constructor(identity: () => Identity) {
    this.#identity = identity;
  }

  async manifest(repository: string, reference: string): Promise<SourceManifest | undefined> {
    const path = `/v2/${wireNameOf(repository)}/manifests/${reference}`;
    const response = await this.#get(path, { accept: MANIFEST_TYPES.join(", ") });
    if (response === undefined) return undefined;
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of bytesOf(response)) {
      length += piece.length;
      if (length > MANIFEST_BYTES_MAX) throw broken("the manifest is larger than 4 MiB");
      pieces.push(piece);
    }
    const mediaType = response.headers["content-type"] ?? "";
    return { bytes: new Uint8Array(Buffer.concat(pieces)), mediaType };
  }

  async blob(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = `/v2/${wireNameOf(repository)}/blobs/${digest}`;
    const response = await this.#get(path, from === 0 ? {} : { range: `bytes=${from}-` });
    if (response === undefined) return undefined;
    // All of it is here already: the range is empty.
    if (response.statusCode === 416) return none(response);
    if (from === 0 || response.statusCode === 206) return bytesOf(response);
    response.destroy();
    throw broken("the server does not go on where the transfer broke off");
  }

  /** The answer of the first server that can be reached; undefined when it does not have that. */
  async #get(path: string, headers: Record<string, string>): Promise<IncomingMessage | undefined> {
    let problem: unknown = broken("no address of a server is known");
    for (const server of this.#identity().servers) {
      try {
        const response = await this.#ask(server, path, headers);
        const { statusCode = 0 } = response;
        if (statusCode === 200 || statusCode === 206 || statusCode === 416) return response;
        response.destroy();
        if (statusCode === 404) return undefined;
        problem = broken(`${server} gives no images: it answered ${statusCode}`);
      } catch (error) {
        // Another server may be in reach; what the last one said is told.
        problem = error;
      }
    }
    throw problem;
  }

  async #ask(
    server: string,
    path: string,
    headers: Record<string, string>,
  ): Promise<IncomingMessage> {
    const { caCertificate: ca, certificate, key } = this.#identity();
    const secure = await connectServer({ server, ca, identity: { certificate, key } });
    return new Promise((resolve, reject) => {
      const outgoing = request({
        createConnection: () => secure,
        method: "GET",
        path,
        headers: { host: "orchd", connection: "close", ...headers },
      });
      const fail = (cause?: Error) => {
        secure.destroy();
        reject(broken(`${server} gave no answer`, cause));
      };
      outgoing.setTimeout(SILENCE_MAX_MS, () => secure.destroy());
      outgoing.on("error", fail);
      outgoing.on("close", () => fail());
      outgoing.on("response", (response) => {
        response.on("close", () => secure.destroy());
        resolve(response);
      });
      outgoing.end();
    });
  }
}

/** @throws OrchdError `unreachable` (retryable) when it breaks off before its end */
async function* bytesOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  const length = Number(response.headers["content-length"] ?? Number.NaN);
  let bytes = 0;
  try {
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      bytes += piece.length;
      yield piece;
    }
  } catch (cause) {
    throw broken("the transfer broke off", cause);
  } finally {
    response.destroy();
  }
  if (bytes !== length) throw broken("the transfer broke off");
}

async function* none(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  response.destroy();
}

function broken(message: string, cause?: unknown): OrchdError {
  return new OrchdError("unreachable", message, { retryable: true, cause });
}
