import type { Link, LinkHandlers } from "../../../src/session/link.ts";

type Frame = string | Uint8Array;
const PING = Symbol("ping");

interface Goodbye {
  code: number;
  reason: string;
}

/** One end of a connection in memory. What is sent arrives within the turn, unless it is held. */
export class MemoryLink implements Link {
  bufferedBytes = 0;
  pings = 0;
  /** The most that ever waited here. */
  bufferedMax = 0;
  closed: { code: number; reason: string } | undefined;
  /** Frames that this end sent, as text; binary ones by their length. */
  readonly sent: string[] = [];
  #other: MemoryLink | undefined;
  #handlers: LinkHandlers | undefined;
  #queue: (Frame | typeof PING)[] = [];
  #goodbye: Goodbye | undefined;
  #scheduled = false;
  #held = false;
  #cut = false;

  static pair(): [MemoryLink, MemoryLink] {
    const [left, right] = [new MemoryLink(), new MemoryLink()];
    left.#other = right;
    right.#other = left;
    return [left, right];
  }

  /** From now on nothing that this end sends arrives, as if the other end did not read. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#schedule();
  }

  send(frame: Frame): void {
    if (this.closed !== undefined || this.#goodbye !== undefined) return;
    this.sent.push(typeof frame === "string" ? frame : `${frame.length} bytes`);
    this.#queue.push(frame);
    this.bufferedBytes += frame.length;
    this.bufferedMax = Math.max(this.bufferedMax, this.bufferedBytes);
    this.#schedule();
  }

  ping(): void {
    this.pings += 1;
    this.#queue.push(PING);
    this.#schedule();
  }

  /** What was sent before arrives before. */
  close(code: number, reason: string): void {
    if (this.#queue.length > 0 && !this.#cut) {
      this.#goodbye ??= { code, reason };
      return;
    }
    this.#end(code, reason);
    if (!this.#cut) queueMicrotask(() => this.#peer.#end(code, reason));
  }

  terminate(): void {
    this.#end(1006, "");
    if (!this.#cut) queueMicrotask(() => this.#peer.#end(1006, ""));
  }

  /** The cable is cut: neither end hears anything, and nobody is told. */
  cut(): void {
    for (const end of [this, this.#peer]) {
      end.#held = true;
      end.#cut = true;
    }
  }

  listen(handlers: LinkHandlers): void {
    this.#handlers = handlers;
  }

  get #peer(): MemoryLink {
    if (this.#other === undefined) throw new Error("this end has no other");
    return this.#other;
  }

  #end(code: number, reason: string): void {
    if (this.closed !== undefined) return;
    this.closed = { code, reason };
    this.#queue = [];
    this.#handlers?.onClose(code, reason);
  }

  #schedule(): void {
    if (this.#scheduled || this.#held) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#scheduled = false;
    if (this.#held || this.closed !== undefined) return;
    const frames = this.#queue;
    this.#queue = [];
    this.bufferedBytes = 0;
    for (const frame of frames) this.#peer.#take(frame);
    this.#handlers?.onDrain();
    if (this.#goodbye !== undefined) this.close(this.#goodbye.code, this.#goodbye.reason);
  }

  #take(frame: Frame | typeof PING): void {
    if (this.closed !== undefined) return;
    if (frame === PING) {
      this.#handlers?.onSound();
      // A WebSocket answers by itself, if it can.
      if (!this.#held) this.#peer.#handlers?.onSound();
    } else if (typeof frame === "string") this.#handlers?.onText(frame);
    else this.#handlers?.onBytes(frame);
  }
}
