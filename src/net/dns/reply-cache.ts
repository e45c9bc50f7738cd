import type { Reply } from "./reply.ts";

/** A node of a small site asks for a few hundred names; a mail server on it for thousands. */
const ENTRIES_MAX = 4096;
const BYTES_MAX = 2 * 1024 * 1024;
/** What an entry takes beside its packet, roughly. */
const ENTRY_BYTES = 400;

interface Entry {
  reply: Reply;
  storedAt: number;
  endsAt: number;
}

export interface CacheBounds {
  entriesMax: number;
  bytesMax: number;
}

/** Answers of others for as long as they say that they are true. The least used make room. */
export class ReplyCache {
  readonly #bounds: CacheBounds;
  /** The least used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(bounds: CacheBounds = { entriesMax: ENTRIES_MAX, bytesMax: BYTES_MAX }) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @param now in milliseconds, as in `set` */
  get(key: string, now: number): { reply: Reply; ageS: number } | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    // A clock that was set back would keep it for ever.
    if (now >= entry.endsAt || now < entry.storedAt) {
      this.#drop(key, entry);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return { reply: entry.reply, ageS: Math.floor((now - entry.storedAt) / 1000) };
  }

  set(key: string, reply: Reply, now: number): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#drop(key, before);
    const { entriesMax, bytesMax } = this.#bounds;
    if (reply.ttlS === 0 || bytesOf(reply) > bytesMax) return;
    this.#entries.set(key, { reply, storedAt: now, endsAt: now + reply.ttlS * 1000 });
    this.#bytes += bytesOf(reply);
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) break;
      this.#drop(oldest, entry);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #drop(key: string, { reply }: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= bytesOf(reply);
  }
}

function bytesOf({ bytes }: Reply): number {
  return bytes.length + ENTRY_BYTES;
}
