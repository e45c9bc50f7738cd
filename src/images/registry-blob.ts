import type { ImageStore } from "./image-store.ts";
import type { ByteRange } from "./blob-store.ts";
import type { PeerAnswer } from "./peer-answer.ts";
import { RegistryError } from "./registry-error.ts";

/** A blob, or the part of it that was asked for (RFC 9110, section 14.2). */
export async function answerBlob(
  store: ImageStore,
  request: Request,
  digest: string,
): Promise<Response> {
  const { status, headers, range } = await headOf(store, request, digest);
  if (request.method === "HEAD") return new Response(null, { headers });
  const file = Bun.file(store.blobs.pathOf(digest));
  const body = status === 200 ? file : file.slice(range.start, range.end);
  return new Response(body, { status, headers });
}

/** The same for another node. */
export async function passOnBlob(
  store: ImageStore,
  request: Request,
  digest: string,
): Promise<PeerAnswer> {
  const { status, headers, range } = await headOf(store, request, digest);
  return { status, headers, pieces: store.blobs.read(digest, { ...range, isReused: true }) };
}

/** A blob that is just coming, and whose size is not known here. */
export function liveBlob(digest: string, pieces: AsyncGenerator<Uint8Array>): Response {
  const headers = { "content-type": "application/octet-stream", "docker-content-digest": digest };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done === true) controller.close();
        // The piece's memory is used again, and the stream keeps what it is given.
        else controller.enqueue(new Uint8Array(next.value));
      },
      cancel: async () => void (await pieces.return(undefined)),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers });
}

async function headOf(store: ImageStore, request: Request, digest: string) {
  const size = await store.sizeOf(digest);
  if (size === undefined) throw new RegistryError("BLOB_UNKNOWN", "there is no such blob");
  const range = rangeIn(request.headers.get("range"), size);
  const { start, end } = range ?? { start: 0, end: size };
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(end - start),
    "docker-content-digest": digest,
    "accept-ranges": "bytes",
    etag: `"${digest}"`,
    ...(range === undefined ? {} : { "content-range": `bytes ${start}-${end - 1}/${size}` }),
  };
  return { status: range === undefined ? 200 : 206, headers, range: { start, end } };
}

/** One range; several, or one in other words, are answered with the whole. */
function rangeIn(header: string | null, size: number): ByteRange | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (start < end) return { start, end };
  throw new RegistryError("RANGE_INVALID", `the blob has ${size} bytes`, {
    "content-range": `bytes */${size}`,
  });
}
