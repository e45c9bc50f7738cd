/**
 * A binary frame carries a piece of one stream: the stream's number (4 bytes, big endian), what the
 * bytes are (1 byte), the bytes.
 */
export interface Payload {
  stream: number;
  kind: PayloadKind;
  bytes: Uint8Array;
}

/** In the order of their numbers on the wire. */
const KINDS = [
  /** Bytes: input, log lines as NDJSON, an archive, one way of a connection. */
  "data",
  "stdout",
  "stderr",
  /** No more of these bytes comes; the other way may go on. */
  "end",
  /** JSON amid the bytes: `{"type": "started"}`, `{"type": "resize", size}`. */
  "message",
  /** JSON: how the call ended. The last frame of its stream. */
  "result",
  /** JSON `{code, message, retryable}`: how the call failed. The last frame of its stream. */
  "error",
] as const;
export type PayloadKind = (typeof KINDS)[number];

const HEADER_BYTES = 5;
/** A piece is cut to this: what is urgent waits behind one piece at most. */
export const PIECE_BYTES_MAX = 32 * 1024;
/** An answer is one frame. */
export const RESULT_BYTES_MAX = 4 * 1024 * 1024;
/** The largest binary frame that either end sends. */
export const BINARY_FRAME_BYTES_MAX = HEADER_BYTES + RESULT_BYTES_MAX;
/** Smaller pieces are copied, so that none keeps the large buffer alive that it came in. */
const COPY_BELOW_BYTES = 4096;

/** Whether the frame is the last that its stream has from this side. */
export function isLast(kind: PayloadKind): boolean {
  return kind === "result" || kind === "error";
}

export function encodePayload({ stream, kind, bytes }: Payload): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + bytes.length);
  new DataView(frame.buffer).setUint32(0, stream);
  frame[4] = KINDS.indexOf(kind);
  frame.set(bytes, HEADER_BYTES);
  return frame;
}

/** Undefined for what is no frame of ours. */
export function decodePayload(frame: Uint8Array): Payload | undefined {
  const kind = KINDS[frame[4] ?? KINDS.length];
  if (kind === undefined) return undefined;
  const max = isLast(kind) ? RESULT_BYTES_MAX : PIECE_BYTES_MAX;
  if (frame.length > HEADER_BYTES + max) return undefined;
  const stream = new DataView(frame.buffer, frame.byteOffset).getUint32(0);
  const view = frame.subarray(HEADER_BYTES);
  return { stream, kind, bytes: view.length < COPY_BELOW_BYTES ? new Uint8Array(view) : view };
}
