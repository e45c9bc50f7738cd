import { OrchdError } from "../lib/errors.ts";

/** Whoever says nothing for so long is taken for gone. */
const SILENCE_MAX_MS = 30_000;
/** How long an answer may take to begin: less than a node waits for its server. */
const ANSWER_MAX_MS = 10_000;
const REDIRECTS_MAX = 5;
const REDIRECTED = new Set([301, 302, 303, 307, 308]);

/** `localhost:5000`, `127.0.0.1`, `[::1]:5000` */
export function isOwnMachine(host: string): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host);
}

/**
 * Asks for something, wherever it is sent on to, but nowhere without encryption except on this
 * machine. Who asks is told to the first host alone.
 * @throws OrchdError `unreachable` (retryable)
 */
export async function ask(url: string, headers: Record<string, string>): Promise<Response> {
  let [at, sent] = [new URL(url), headers];
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    const response = await askOnce(at, sent);
    const location = response.headers.get("location");
    if (!REDIRECTED.has(response.status) || location === null) return response;
    await response.body?.cancel();
    if (!URL.canParse(location, at.href)) break;
    const next = new URL(location, at);
    if (next.protocol !== "https:" && !isOwnMachine(next.host)) break;
    if (next.host !== at.host) {
      const { authorization: _, ...others } = sent;
      sent = others;
    }
    at = next;
  }
  throw broken(`${new URL(url).host} sends on to where nobody can follow`);
}

/**
 * The bytes of a blob from this one on.
 * @throws OrchdError `unreachable` (retryable) when it breaks off, or does not go on there
 */
export async function* bytesOf(response: Response, from: number): AsyncGenerator<Uint8Array> {
  // All of it is here already: the range is empty.
  if (response.status === 416) {
    await response.body?.cancel();
    return;
  }
  const skipped = response.status === 206 ? 0 : from;
  let at = 0;
  for await (const piece of piecesOf(response)) {
    const start = Math.max(0, skipped - at);
    at += piece.length;
    if (start < piece.length) yield piece.subarray(start);
  }
}

/** A small answer, whole. @throws OrchdError `unreachable` (retryable) */
export async function smallBody(
  response: Response,
  bytesMax: number,
): Promise<Buffer<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of piecesOf(response)) {
    length += piece.length;
    if (length > bytesMax) throw broken("the registry sends far more than makes sense");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function* piecesOf(response: Response): AsyncGenerator<Uint8Array> {
  const body = response.body as ReadableStream<Uint8Array> | null;
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      yield value;
    }
  } catch (cause) {
    throw cause instanceof OrchdError ? cause : broken("the transfer broke off", cause);
  } finally {
    await reader.cancel().catch(() => {
      // It broke off already.
    });
  }
}

async function askOnce(url: URL, headers: Record<string, string>): Promise<Response> {
  const giveUp = new AbortController();
  try {
    return await inTime(
      fetch(url.href, { headers, redirect: "manual", signal: giveUp.signal }),
      ANSWER_MAX_MS,
    );
  } catch (cause) {
    giveUp.abort();
    throw broken(`${url.host} can't be reached`, cause);
  }
}

async function inTime<T>(work: Promise<T>, timeoutMs = SILENCE_MAX_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(broken(`nothing came for ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function broken(message: string, cause?: unknown): OrchdError {
  return new OrchdError("unreachable", message, { retryable: true, cause });
}
