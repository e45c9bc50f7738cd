import { OrchdError } from "../lib/errors.ts";
import { readError } from "./calls.ts";
import type { SessionStream } from "./session-stream.ts";

/**
 * What the other side sends, up to its end.
 * @throws OrchdError `conflict` when the call was given up before that
 */
export async function* bytesIn(stream: SessionStream): AsyncGenerator<Uint8Array> {
  for (;;) {
    const payload = await stream.next();
    if (payload === undefined) {
      throw new OrchdError("conflict", "the upload was given up before its end");
    }
    if (payload.kind === "error") throw readError(payload);
    if (payload.kind !== "data") return;
    yield payload.bytes;
  }
}
