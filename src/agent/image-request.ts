import { type Agent, type IncomingMessage, request } from "node:http";
import type { TLSSocket } from "node:tls";
import { MANIFEST_BYTES_MAX } from "../core/oci/manifest.ts";
import type { SourceManifest } from "../images/mirror.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";

/** Whoever says nothing for so long is taken for gone; a transfer is gone on with elsewhere. */
const SILENCE_MAX_MS = 15_000;

/** A connection to whoever has images. */
export interface ImageConnection {
  secure: TLSSocket;
  /** Whom it goes to, for people. */
  to: string;
  /** Of a connection for several requests; absent means that it ends with the first. */
  agent?: Agent;
  clock?: Clock;
  /** Hears that the other side said nothing for too long. */
  onSilence?: () => void;
}

export interface ImageAnswer {
  status: number;
  headers: IncomingMessage["headers"];
  /** As it comes; rejects with `unreachable` (retryable) when it breaks off, or no more comes. */
  pieces: AsyncGenerator<Uint8Array>;
  /** Nobody wants it. */
  drop(): void;
}

/**
 * One request for a part of an image.
 * @throws OrchdError `unreachable` (retryable)
 */
export async function requestImage(
  connection: ImageConnection,
  path: string,
  headers: Record<string, string>,
): Promise<ImageAnswer> {
  const { secure, to, agent } = connection;
  const answer = Promise.withResolvers<IncomingMessage>();
  const outgoing = request({
    ...(agent === undefined ? { createConnection: () => secure } : { agent }),
    method: "GET",
    path,
    headers: { host: "orchd", ...(agent === undefined ? { connection: "close" } : {}), ...headers },
  });
  const fail = (cause?: Error) => {
    secure.destroy();
    answer.reject(broken(`${to} gave no answer`, cause));
  };
  outgoing.on("error", fail);
  outgoing.on("response", (response) => {
    response.on("close", () => {
      if (agent === undefined || !response.complete) secure.destroy();
    });
    answer.resolve(response);
  });
  outgoing.on("close", () => answer.reject(broken(`${to} gave no answer`)));
  const onGone = () => fail();
  secure.once("close", onGone);
  outgoing.end();
  const response = await inTime(connection, answer.promise).finally(() => {
    secure.off("close", onGone);
  });
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    pieces: piecesOf(connection, response),
    drop: () => void response.destroy(),
  };
}

/** A small answer, whole. */
export async function textOf({ pieces: from }: ImageAnswer, bytesMax: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of from) {
    length += piece.length;
    if (length > bytesMax) throw broken("the answer is larger than any that makes sense");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

export async function manifestOf(answer: ImageAnswer): Promise<SourceManifest> {
  const bytes = new Uint8Array(await textOf(answer, MANIFEST_BYTES_MAX));
  return { bytes, mediaType: answer.headers["content-type"] ?? "" };
}

/**
 * The bytes of a blob from this one on.
 * @throws OrchdError `unreachable` (retryable) when it breaks off, or does not go on there
 */
export function blobOf(answer: ImageAnswer, from: number): AsyncIterable<Uint8Array> {
  if (from === 0 || answer.status === 206) return answer.pieces;
  answer.drop();
  // All of it is here already: the range is empty.
  if (answer.status === 416) return none();
  throw broken("the transfer can't be gone on with where it broke off");
}

async function* none(): AsyncGenerator<Uint8Array> {}

async function* piecesOf(
  connection: ImageConnection,
  response: IncomingMessage,
): AsyncGenerator<Uint8Array> {
  const said = response.headers["content-length"];
  const pieces = (response as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  let bytes = 0;
  try {
    for (;;) {
      const next = await inTime(connection, pieces.next());
      if (next.done === true) break;
      bytes += next.value.length;
      yield next.value;
    }
  } catch (cause) {
    throw cause instanceof OrchdError ? cause : broken("the transfer broke off", cause);
  } finally {
    response.destroy();
  }
  // Without a length the digest tells whether it was all.
  if (said !== undefined && bytes !== Number(said)) throw broken("the transfer broke off");
}

async function inTime<T>(
  { secure, to, clock = systemClock, onSilence }: ImageConnection,
  work: Promise<T>,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = clock.after(SILENCE_MAX_MS, () => {
    onSilence?.();
    secure.destroy();
    late.reject(broken(`${to} said nothing for ${SILENCE_MAX_MS / 1000} s`));
  });
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    timer.cancel();
  }
}

export function broken(message: string, cause?: unknown): OrchdError {
  return new OrchdError("unreachable", message, { retryable: true, cause });
}
