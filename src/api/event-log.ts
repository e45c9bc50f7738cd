import type { Clock } from "../lib/clock.ts";
import { type Event, eventOf, type Happening } from "../model/event.ts";
import type { Store } from "../store/store.ts";
import { Pulse } from "./pulse.ts";
import type { LineSink } from "./stream.ts";

const EVENTS_KEPT = 10_000;

/** The latest events of the cluster, in memory: the oldest make room for the newest. */
export class EventLog {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #kept: number;
  readonly #ring: Event[] = [];
  readonly #followers = new Set<Pulse>();
  /** How many events there ever were; event `n` lies at `n % kept` in the ring. */
  #count = 0;

  constructor(store: Store, clock: Clock, kept = EVENTS_KEPT) {
    this.#store = store;
    this.#clock = clock;
    this.#kept = kept;
    store.watch(({ applied, version }) => {
      const now = this.#clock.now();
      for (const one of applied) this.#add(eventOf(one, now, version));
    });
  }

  /** Takes in what no write tells. */
  note(happening: Happening): void {
    const { version } = this.#store.view();
    this.#add({ at: this.#clock.now(), version, id: happening.name, ...happening });
  }

  /**
   * Sends the events at or after `sinceMs` (milliseconds since 1970), and with `follow` those that
   * come, until the reader goes. One that reads too slowly misses the oldest.
   */
  async send(sink: LineSink, options: { sinceMs: number; follow: boolean }): Promise<void> {
    const pulse = new Pulse(sink.signal);
    this.#followers.add(pulse);
    try {
      let at = 0;
      while (!sink.signal.aborted) {
        at = Math.max(at, this.#count - this.#kept);
        const event = at < this.#count ? this.#ring[at % this.#kept] : undefined;
        at++;
        if (event !== undefined) {
          if (event.at >= options.sinceMs) await sink.write(event);
          continue;
        }
        if (!options.follow) return;
        at = this.#count;
        await pulse.next();
      }
    } finally {
      this.#followers.delete(pulse);
    }
  }

  #add(event: Event | undefined): void {
    if (event === undefined) return;
    this.#ring[this.#count % this.#kept] = event;
    this.#count++;
    for (const follower of this.#followers) follower.beat();
  }
}
