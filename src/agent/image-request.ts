import { request, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { MANIFEST_BYTES_MAX } from "../core/oci/manifest.ts";
import { OrchdError } from "../lib/errors.ts";
import type { SourceManifest } from "../images/mirror.ts";

/** Whoever says nothing for so long is taken for gone; a transfer is gone on with elsewhere. */
const SILENCE_MAX_MS = 15_000;

/**
 * One request for a part of an image, which has the connection for itself.
 * @throws OrchdError `unreachable` (retryable)
 */
export function requestImage(
  secure: TLSSocket,
  from: string,
  path: string,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      createConnection: () => secure,
      method: "GET",
      path,
      headers: { host: "orchd", connection: "close", ...headers },
    });
    const fail = (cause?: Error) => {
      secure.destroy();
      reject(broken(`${from} gave no answer`, cause));
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

/** A small answer, whole. */
export async function textOf(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of bytesOf(response)) {
    length += piece.length;
    if (length > bytesMax) throw broken("the answer is larger than any that makes sense");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

export async function manifestOf(response: IncomingMessage): Promise<SourceManifest> {
  const bytes = new Uint8Array(await textOf(response, MANIFEST_BYTES_MAX));
  return { bytes, mediaType: response.headers["content-type"] ?? "" };
}

/**
 * The bytes of a blob from this one on.
 * @throws OrchdError `unreachable` (retryable) when it breaks off, or does not go on there
 */
export function blobOf(response: IncomingMessage, from: number): AsyncIterable<Uint8Array> {
  // All of it is here already: the range is empty.
  if (response.statusCode === 416) {
    response.destroy();
    return Readable.from([]);
  }
  if (from === 0 || response.statusCode === 206) return bytesOf(response);
  response.destroy();
  throw broken("the transfer can't be gone on with where it broke off");
}

async function* bytesOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  const said = response.headers["content-length"];
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
  // Without a length the digest tells whether it was all.
  if (said !== undefined && bytes !== Number(said)) throw broken("the transfer broke off");
}

export function broken(message: string, cause?: unknown): OrchdError {
  return new OrchdError("unreachable", message, { retryable: true, cause });
}
