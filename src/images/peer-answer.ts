import { OrchdError } from "../lib/errors.ts";
import { MANIFEST_BYTES_MAX } from "../core/oci/manifest.ts";

/** An answer to another node. Its bytes pass by without web streams, which hold several copies. */
export interface PeerAnswer {
  status: number;
  headers: Record<string, string>;
  /** Each is good until the next one is asked for. */
  pieces: AsyncIterable<Uint8Array>;
}

/** An answer that is small, such as a manifest or a refusal. */
export async function smallAnswer(response: Response): Promise<PeerAnswer> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > MANIFEST_BYTES_MAX) {
    throw new OrchdError("internal", "an answer that should be small is not");
  }
  const { status, headers } = response;
  return { status, headers: Object.fromEntries(headers), pieces: only(bytes) };
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
