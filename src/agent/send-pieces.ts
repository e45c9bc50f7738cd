import type { ServerResponse } from "node:http";
import { OrchdError } from "../lib/errors.ts";

/**
 * Sends a body and ends it. A piece is asked for when the one before it has been taken, so that
 * whoever makes them can use its memory again, and no more than one is on its way.
 * @throws OrchdError `unreachable` when the other side has gone
 */
export async function sendPieces(
  pieces: AsyncIterable<Uint8Array>,
  response: ServerResponse,
): Promise<void> {
  const gone = Promise.withResolvers<never>();
  const onClose = () => gone.reject(new OrchdError("unreachable", "the other side has gone"));
  response.once("close", onClose);
  // Where nothing is under way any more, nobody needs to hear of it.
  gone.promise.catch(() => {});
  try {
    for await (const piece of pieces) {
      const taken = new Promise<void>((resolve, reject) => {
        response.write(piece, (error) => (error ? reject(error) : resolve()));
      });
      await Promise.race([taken, gone.promise]);
    }
  } finally {
    response.off("close", onClose);
  }
  response.end();
}
