export interface OutputChunk {
  stream: "stdout" | "stderr";
  data: Uint8Array;
}

const HEADER_BYTES = 8;

/**
 * Takes apart the framing in which Podman sends the two outputs of a command over one connection:
 * eight bytes (stream, three zeros, length as a big-endian number), then so many bytes of payload.
 * Keeps no payload, so that a hostile length costs nothing.
 */
export class FrameReader {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #payloadBytes = 0;

  /** The payload in `chunk`, in which frames begin and end anywhere; undefined for no frames. */
  read(chunk: Uint8Array): OutputChunk[] | undefined {
    const result: OutputChunk[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadBytes > 0) {
        const end = Math.min(chunk.length, at + this.#payloadBytes);
        const stream = this.#header[0] === 2 ? "stderr" : "stdout";
        result.push({ stream, data: chunk.subarray(at, end) });
        this.#payloadBytes -= end - at;
        at = end;
        continue;
      }
      this.#header[this.#headerBytes++] = chunk[at++] ?? 0;
      if (this.#headerBytes < HEADER_BYTES) continue;
      const [stream = 0, b = 0, c = 0, d = 0] = this.#header;
      if (stream > 2 || b !== 0 || c !== 0 || d !== 0) return undefined;
      this.#payloadBytes = new DataView(this.#header.buffer).getUint32(4);
      this.#headerBytes = 0;
    }
    return result;
  }
}
