import type { ApiContext } from "./env.ts";

/** Smaller pieces are left to the garbage collector. */
const PIECE_BYTES_FREED = 64 * 1024;

/**
 * Answers with bytes for as long as the caller is let in, no faster than they are read. What goes
 * wrong on the way breaks the connection off: its reader misses the end of the archive.
 * @param stream whose pieces nobody else has
 */
export function downloadOf(c: ApiContext, stream: ReadableStream<Uint8Array>): Response {
  const admission = c.get("admission");
  const reader = stream.getReader();
  let stop = () => {};
  // `Bun.serve` asks for more when it has sent or copied what it got; other readers keep pieces.
  const free = c.env?.server === undefined ? () => {} : freePiece;
  let given: Uint8Array | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stop =
          admission?.onEnd((why) => {
            void reader.cancel().catch(() => {});
            controller.error(why);
          }) ?? stop;
      },
      async pull(controller) {
        try {
          free(given);
          const { done, value } = await reader.read();
          given = value;
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        stop();
      },
      async cancel() {
        stop();
        await reader.cancel();
      },
    },
    { highWaterMark: 0 },
  );
  return c.body(body, 200, {
    "content-type": "application/octet-stream",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
}

/**
 * Gives the memory of a piece back at once: the engine would let as much garbage lie about as it
 * has in use, and asks for more meanwhile. A part of a larger buffer is left alone.
 */
function freePiece(piece: Uint8Array | undefined): void {
  if (piece === undefined || piece.length < PIECE_BYTES_FREED) return;
  const { buffer } = piece;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === piece.length) buffer.transfer(0);
}
