import type { Clock } from "../../lib/clock.ts";
import { Lookup, PATIENCE, type Patience } from "./lookup.ts";
import type { Query } from "./query.ts";
import { ReplyCache } from "./reply-cache.ts";
import type { Reply } from "./reply.ts";
import { UpstreamHealth } from "./upstream-health.ts";
import { keyOf, type Upstream } from "./upstream.ts";
import { FLAG } from "./wire.ts";

/** Questions that wait for others at the same time: each has a socket, or several. */
const UNDER_WAY_MAX = 256;

export interface ForwarderOptions {
  clock: Clock;
  /** Milliseconds that only grow. */
  now: () => number;
  patience?: Patience;
}

export interface Kept {
  reply: Reply;
  /** For how long it has been kept. */
  ageS: number;
}

/** Asks the name servers outside what is not ours, and keeps their answers while they are true. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #cache = new ReplyCache();
  readonly #health = new UpstreamHealth();
  readonly #underWay = new Map<string, Promise<Kept | undefined>>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * The answer if it is known, a promise while it is asked for, and undefined at once where nobody
   * can be asked. The promise is undefined too when nobody answers; it never rejects.
   */
  lookUp(
    query: Query,
    upstreams: readonly Upstream[],
  ): Kept | Promise<Kept | undefined> | undefined {
    const key = `${kindOf(query)} ${upstreams.map(keyOf).join(" ")}`;
    const now = this.#options.now();
    const kept = this.#cache.get(key, now);
    if (kept !== undefined) return kept;
    const same = this.#underWay.get(key);
    if (same !== undefined) return same;
    if (this.#underWay.size >= UNDER_WAY_MAX) return undefined;
    const order = this.#health.order(upstreams, now);
    if (order === undefined) return undefined;
    const { clock, patience = PATIENCE } = this.#options;
    const health = this.#health;
    // The packet that it was read from may be another one by the time of the answer.
    const own = { ...query, question: Buffer.from(query.question) };
    const lookup = new Lookup({
      query: own,
      order,
      health,
      clock,
      now: this.#options.now,
      patience,
    });
    const asked = lookup.run().then((reply) => {
      this.#underWay.delete(key);
      if (reply === undefined) return undefined;
      if (!reply.isTruncated) this.#cache.set(key, reply, this.#options.now());
      return { reply, ageS: 0 };
    });
    this.#underWay.set(key, asked);
    return asked;
  }

  /** The machine's name servers are other ones: what the old ones said may not be true there. */
  forget(): void {
    this.#cache.clear();
    this.#health.forget();
  }
}

/** Questions of one kind have the same answer. */
function kindOf({ name, type, flags, edns }: Query): string {
  const isChecked = (flags & FLAG.checkingDisabled) === 0;
  return `${name} ${type} ${edns?.isDnssec === true ? "do" : ""} ${isChecked ? "" : "cd"}`;
}
