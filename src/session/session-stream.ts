import type { OrchdError } from "../lib/errors.ts";
import {
  encodePayload,
  isLast,
  type Payload,
  type PayloadKind,
  PIECE_BYTES_MAX,
} from "./payload.ts";

/**
 * How much one end sends before the other end has taken any of it, in bytes. It is also all that a
 * stream whose reader has stopped holds in memory.
 */
export const WINDOW_BYTES = 256 * 1024;
/** What a frame counts beside its bytes, so that a flood of empty ones is bounded as well. */
const FRAME_COST = 64;
/** So much is taken before the other end hears of it. */
const GRANT_BYTES = WINDOW_BYTES / 4;

interface Outgoing {
  kind: PayloadKind;
  bytes: Uint8Array;
  done: (error?: OrchdError) => void;
}

export interface StreamOwner {
  /** The stream has something to send. */
  offer(stream: SessionStream): void;
  /** The reader took so much. */
  grant(stream: number, bytes: number): void;
  /** This side gives up. */
  cancel(stream: number): void;
  /** This side has sent its last frame. */
  finished(stream: number): void;
}

/** One call's two ways of bytes; each sends no faster than its reader takes. */
export class SessionStream {
  readonly id: number;
  readonly #owner: StreamOwner;
  readonly #ended = new AbortController();
  #outgoing: Outgoing[] = [];
  #credit = WINDOW_BYTES;
  #incoming: Payload[] = [];
  #allowance = WINDOW_BYTES;
  #ungranted = 0;
  #hasEnd = false;
  #hasLast = false;
  #failure: OrchdError | undefined;
  #wake = () => {};

  constructor(id: number, owner: StreamOwner) {
    this.id = id;
    this.#owner = owner;
  }

  /** Aborts when nothing more can be sent: the call is over, was given up or lost its session. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /**
   * Resolves when the bytes are on their way. What is written after the end goes nowhere.
   * @throws OrchdError what the session broke with
   */
  write(kind: PayloadKind, bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.ended.aborted) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (error?: OrchdError) => (error === undefined ? resolve() : reject(error));
      this.#outgoing.push({ kind, bytes, done });
      if (this.#isSendable()) this.#owner.offer(this);
    });
  }

  /** Sends what needs no room: the end of a way, or the last frame of the stream. */
  finish(kind: "end" | "result" | "error", bytes: Uint8Array = new Uint8Array()): void {
    if (this.ended.aborted) return;
    this.#outgoing.push({ kind, bytes, done: () => {} });
    if (this.#isSendable()) this.#owner.offer(this);
  }

  /**
   * The next frame from the other side, once there is one; undefined after the last and after
   * `cancel`. One reader at a time.
   * @throws OrchdError what the session broke with
   */
  async next(): Promise<Payload | undefined> {
    while (this.#incoming.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#hasLast || this.ended.aborted) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const payload = this.#incoming.shift();
    if (payload !== undefined) this.#take(payload);
    return payload;
  }

  /** Gives up both ways, and tells the other side. */
  cancel(): void {
    if (this.ended.aborted) return;
    this.#owner.cancel(this.id);
    this.end();
  }

  /** Takes a frame that came in; answers whether it was within what this side allowed. */
  receive(payload: Payload): boolean {
    if (this.#hasLast || (this.#hasEnd && payload.kind === "end")) return false;
    if (isLast(payload.kind)) this.#hasLast = true;
    else if (payload.kind === "end") this.#hasEnd = true;
    else this.#allowance -= costOf(payload.bytes);
    this.#incoming.push(payload);
    this.#wake();
    return this.#allowance >= -PIECE_BYTES_MAX - FRAME_COST;
  }

  /** The other side has taken so much. */
  granted(bytes: number): void {
    this.#credit = Math.min(this.#credit + bytes, WINDOW_BYTES);
    if (this.#isSendable()) this.#owner.offer(this);
  }

  /** The next frame that may be sent now, cut to a piece. */
  takeFrame(): Uint8Array | undefined {
    const [head] = this.#outgoing;
    if (head === undefined || !this.#isSendable()) return undefined;
    if (isFree(head.kind)) return this.#takeFree(head);
    const bytes = head.bytes.subarray(0, PIECE_BYTES_MAX);
    this.#credit -= costOf(bytes);
    head.bytes = head.bytes.subarray(bytes.length);
    if (head.bytes.length === 0) {
      this.#outgoing.shift();
      head.done();
    }
    return encodePayload({ stream: this.id, kind: head.kind, bytes });
  }

  #takeFree({ kind, bytes }: Outgoing): Uint8Array {
    this.#outgoing.shift();
    if (isLast(kind)) {
      this.end();
      this.#owner.finished(this.id);
    }
    return encodePayload({ stream: this.id, kind, bytes });
  }

  /** Ends both ways without a word to the other side. */
  end(failure?: OrchdError): void {
    if (!this.#hasLast) {
      this.#failure ??= failure;
      this.#incoming = [];
    }
    const unsent = this.#outgoing;
    this.#outgoing = [];
    for (const { done } of unsent) done(failure);
    this.#ended.abort();
    this.#wake();
  }

  /** A stream may overdraw its credit by one piece, and then waits. */
  #isSendable(): boolean {
    const [head] = this.#outgoing;
    return head !== undefined && (this.#credit > 0 || isFree(head.kind));
  }

  #take(payload: Payload): void {
    if (isFree(payload.kind)) return;
    this.#ungranted += costOf(payload.bytes);
    if (this.#ungranted < GRANT_BYTES || this.#hasLast || this.ended.aborted) return;
    this.#allowance += this.#ungranted;
    this.#owner.grant(this.id, this.#ungranted);
    this.#ungranted = 0;
  }
}

/** There is one of each at most, so they need no room. */
function isFree(kind: PayloadKind): boolean {
  return kind === "end" || isLast(kind);
}

function costOf(bytes: Uint8Array): number {
  return bytes.length + FRAME_COST;
}
