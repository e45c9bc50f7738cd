import { messageBytes } from "./message-size.ts";
import type { Broadcastable } from "./messages.ts";

/** Bytes that a compound packet adds for itself, and for each message in it. */
export const COMPOUND_BYTES = 2;
export const COMPOUND_ENTRY_BYTES = 2;
/** A compound counts its messages in one byte. */
const COMPOUND_MESSAGES_MAX = 255;
/** How many messages that are too large for the rest of a packet are passed over. */
const MISFITS_MAX = 8;
/** Broadcasts of the application that wait at once; the oldest make room. */
const USER_BROADCASTS_MAX = 256;

interface Queued {
  readonly message: Broadcastable;
  readonly bytes: number;
  /** The member that it tells of; a newer message about that one takes its place. */
  readonly about: string | undefined;
  readonly onDone: (() => void) | undefined;
  isDropped: boolean;
}

/**
 * Messages on their way to all members. Each is sent a limited number of times, those that were
 * sent least come first and among them the newest; one message about a member takes the place of
 * the older one (memberlist, queue.go).
 */
export class BroadcastQueue {
  /** By number of times sent. */
  readonly #tiers: Queued[][] = [];
  readonly #byMember = new Map<string, Queued>();
  readonly #users = new Set<Queued>();

  get size(): number {
    return this.#byMember.size + this.#users.size;
  }

  /** @param onDone called when it was sent as often as it should be, or another took its place */
  add(message: Broadcastable, onDone?: () => void): void {
    const about = message.type === "user" ? undefined : message.node;
    const bytes = messageBytes(message);
    const queued: Queued = { message, bytes, about, onDone, isDropped: false };
    if (about === undefined) this.#addUser(queued);
    else {
      this.#drop(this.#byMember.get(about));
      this.#byMember.set(about, queued);
    }
    this.#tier(0).push(queued);
  }

  /** Messages for one packet with room for `bytesMax`, at most `countMax` of them. */
  take(bytesMax: number, transmitLimit: number, countMax = COMPOUND_MESSAGES_MAX): Broadcastable[] {
    if (this.size === 0) return [];
    const taken: Queued[] = [];
    const again: [Queued, number][] = [];
    let free = bytesMax;
    for (let sent = 0; sent < this.#tiers.length; sent++) {
      const tier = this.#tier(sent);
      let misfits = 0;
      for (let at = tier.length - 1; at >= 0 && misfits < MISFITS_MAX; at--) {
        const queued = tier[at];
        if (queued === undefined || taken.length >= countMax) break;
        const bytes = queued.bytes + COMPOUND_ENTRY_BYTES;
        if (!queued.isDropped && bytes > free) {
          misfits += 1;
          continue;
        }
        tier.splice(at, 1);
        if (queued.isDropped) continue;
        free -= bytes;
        taken.push(queued);
        again.push([queued, sent + 1]);
      }
    }
    for (const [queued, sent] of again) {
      if (sent >= transmitLimit) this.#drop(queued);
      else this.#tier(sent).push(queued);
    }
    return taken.map(({ message }) => message);
  }

  #tier(sent: number): Queued[] {
    const tier = this.#tiers[sent] ?? [];
    this.#tiers[sent] = tier;
    return tier;
  }

  #addUser(queued: Queued): void {
    this.#users.add(queued);
    if (this.#users.size <= USER_BROADCASTS_MAX) return;
    for (const oldest of this.#users) {
      this.#drop(oldest);
      return;
    }
  }

  /** It leaves its tier when that one is looked at next. */
  #drop(queued: Queued | undefined): void {
    if (queued === undefined) return;
    queued.isDropped = true;
    if (queued.about === undefined) this.#users.delete(queued);
    else if (this.#byMember.get(queued.about) === queued) this.#byMember.delete(queued.about);
    queued.onDone?.();
  }
}
