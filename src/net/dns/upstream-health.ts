import { keyOf, type Upstream } from "./upstream.ts";

/** For so long nobody is made to wait for a name server that did not answer; then twice as long. */
const DEAD_MS = 5000;
const DEAD_MAX_MS = 30_000;
/** Where all are dead, one query in this time finds out whether that is still so. */
const PROBE_EVERY_MS = 1000;

/** Whom to ask, one after the other. */
export interface Order {
  upstreams: readonly Upstream[];
  /** It is a try that may well be in vain, and so a short one. */
  isProbe: boolean;
}

interface Health {
  heardAt: number;
  deadUntil: number;
  deadMs: number;
  probedAt: number;
  takesEdns: boolean;
}

/** Which name servers answer, so that queries do not wait for those that don't. Times only grow. */
export class UpstreamHealth {
  readonly #known = new Map<string, Health>();

  /** Those that may answer, in the order given; undefined where trying would be in vain. */
  order(upstreams: readonly Upstream[], now: number): Order | undefined {
    const alive = upstreams.filter((one) => this.#of(one).deadUntil <= now);
    if (alive.length > 0) return { upstreams: alive, isProbe: false };
    const [next] = upstreams.toSorted((a, b) => this.#of(a).probedAt - this.#of(b).probedAt);
    if (next === undefined || now - this.#of(next).probedAt < PROBE_EVERY_MS) return undefined;
    this.#of(next).probedAt = now;
    return { upstreams: [next], isProbe: true };
  }

  noteAnswer(upstream: Upstream, now: number): void {
    const health = this.#of(upstream);
    health.heardAt = now;
    health.deadUntil = Number.NEGATIVE_INFINITY;
    health.deadMs = DEAD_MS;
  }

  /** It did not answer what was sent at `sentAt`; what it answered others meanwhile counts more. */
  noteSilence(upstream: Upstream, sentAt: number, now: number): void {
    const health = this.#of(upstream);
    if (health.heardAt >= sentAt || health.deadUntil > now) return;
    health.deadUntil = now + health.deadMs;
    health.deadMs = Math.min(health.deadMs * 2, DEAD_MAX_MS);
    health.probedAt = now;
  }

  takesEdns(upstream: Upstream): boolean {
    return this.#of(upstream).takesEdns;
  }

  noteNoEdns(upstream: Upstream): void {
    this.#of(upstream).takesEdns = false;
  }

  /** The machine is on another network perhaps: what was learnt counts no more. */
  forget(): void {
    this.#known.clear();
  }

  #of(upstream: Upstream): Health {
    const key = keyOf(upstream);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const past = Number.NEGATIVE_INFINITY;
    const fresh = { heardAt: past, deadUntil: past, deadMs: DEAD_MS, probedAt: past };
    const health = { ...fresh, takesEdns: true };
    this.#known.set(key, health);
    return health;
  }
}
