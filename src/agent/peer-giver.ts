import type { ByteRange } from "../images/blob-store.ts";
import { type ChunkGiver, LATE } from "../images/gather-chunks.ts";
import { broken, type ImageAnswer } from "./image-request.ts";
import { PeerLine, type PeerLineOptions } from "./peer-line.ts";

export interface PeerGiverOptions {
  peer: string;
  /** Of the blob at the other node. */
  path: string;
  /** A connection to it that is there already. */
  line?: PeerLine;
  connecting: PeerLineOptions;
  /** Hears of each chunk. */
  onChunk(peer: string): void;
}

/** Another node as one of several that give chunks of a blob. */
export class PeerGiver implements ChunkGiver {
  readonly #options: PeerGiverOptions;
  #line: PeerLine | undefined;
  #isClosed = false;

  constructor(options: PeerGiverOptions) {
    this.#options = options;
    this.#line = options.line;
  }

  async chunk(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const end = () => this.close();
    signal.addEventListener("abort", end);
    try {
      const answer = await (await this.#open()).ask(this.#options.path, rangeHeader(range));
      const chunk = await chunkIn(answer, range);
      this.#options.onChunk(this.#options.peer);
      return chunk;
    } catch (error) {
      end();
      if (signal.reason === LATE) this.#options.connecting.onGone(this.#options.peer);
      throw error;
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#line?.close();
  }

  async #open(): Promise<PeerLine> {
    const { peer, connecting } = this.#options;
    if (this.#line?.isOpen !== true) this.#line = await PeerLine.open(peer, connecting);
    if (!this.#isClosed) return this.#line;
    this.#line.close();
    throw broken(`the node at ${peer} is not asked any more`);
  }
}

/** A part of a blob, and how large all of it is. */
interface BlobPart extends ByteRange {
  size: number;
}

export function rangeHeader({ start, end }: ByteRange): { range: string } {
  return { range: `bytes=${start}-${end - 1}` };
}

/** What part an answer holds; undefined of a node to which the blob just comes itself. */
export function partIn({ status, headers }: ImageAnswer): BlobPart | undefined {
  const [, first, last, size] =
    /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers["content-range"] ?? "") ?? [];
  if (status !== 206 || first === undefined) return undefined;
  return { start: Number(first), end: Number(last) + 1, size: Number(size) };
}

async function chunkIn(answer: ImageAnswer, { start, end }: ByteRange): Promise<Uint8Array> {
  const part = partIn(answer);
  if (part?.start !== start || part.end !== end) {
    answer.drop();
    throw broken("the node does not have all of the blob");
  }
  const chunk = new Uint8Array(end - start);
  let length = 0;
  for await (const piece of answer.pieces) {
    if (length + piece.length > chunk.length)
      throw broken("the node sends more than was asked for");
    chunk.set(piece, length);
    length += piece.length;
  }
  if (length < chunk.length) throw broken("the transfer broke off");
  return chunk;
}
