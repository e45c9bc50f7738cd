/** A busy proxy that keeps nothing asks a few thousand times; more is a mistake or an attack. */
const PER_SECOND = 10_000;
/** Questions of one client that wait for others. */
const WAITING_MAX = 64;

export interface ClientBounds {
  perSecond: number;
  waitingMax: number;
}

export const CLIENT_BOUNDS: ClientBounds = { perSecond: PER_SECOND, waitingMax: WAITING_MAX };

/** Keeps one client from taking what is there for all. */
export class ClientLimit {
  readonly #bounds: ClientBounds;
  #second = 0;
  readonly #asked = new Map<string, number>();
  readonly #waiting = new Map<string, number>();

  constructor(bounds: ClientBounds = CLIENT_BOUNDS) {
    this.#bounds = bounds;
  }

  /**
   * Whether one more question is looked at; it counts then.
   * @param now in milliseconds
   */
  takes(client: string, now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#asked.clear();
    }
    const before = this.#asked.get(client) ?? 0;
    if (before >= this.#bounds.perSecond) return false;
    this.#asked.set(client, before + 1);
    return true;
  }

  /** Whether one more question may wait for others; `endWait` has to follow then. */
  beginWait(client: string): boolean {
    const before = this.#waiting.get(client) ?? 0;
    if (before >= this.#bounds.waitingMax) return false;
    this.#waiting.set(client, before + 1);
    return true;
  }

  endWait(client: string): void {
    const before = this.#waiting.get(client) ?? 0;
    if (before > 1) this.#waiting.set(client, before - 1);
    else this.#waiting.delete(client);
  }
}
