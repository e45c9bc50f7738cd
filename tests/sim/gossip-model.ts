import type { MemberState } from "../../src/core/reconcile/node-health.ts";
import type { Random } from "../../src/lib/random.ts";
import { between, happens } from "./chance.ts";
import type { Place } from "./cluster.ts";
import type { Faults } from "./faults.ts";
import type { ServerProcess } from "./server-process.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const TICK_MS = 250;

export interface GossipModelOptions {
  clock: VirtualClock;
  random: Random;
  places: readonly Place[];
  server: () => ServerProcess | undefined;
  faults: () => Faults;
}

interface Opinion {
  /** Of which life of the server. */
  server: ServerProcess;
  state: MemberState | "unknown";
  /** No other opinion before this time. */
  until: number;
}

/** What gossip would tell the server of its members: the truth, late, and at times a suspicion. */
export class GossipModel {
  readonly #options: GossipModelOptions;
  readonly #opinions = new Map<Place, Opinion>();

  constructor(options: GossipModelOptions) {
    this.#options = options;
  }

  start(): void {
    this.#options.clock.after(TICK_MS, () => {
      const server = this.#options.server();
      for (const place of this.#options.places) {
        if (server !== undefined && place.udp !== "none") this.#look(place, server);
      }
      this.start();
    });
  }

  /** A server that did not run for a while is late with everything, and doubts whom it knows. */
  wakeUp(server: ServerProcess): void {
    const { random, places } = this.#options;
    for (const place of places) {
      const opinion = this.#opinions.get(place);
      if (place.udp !== "works" || opinion?.server !== server || happens(random, 0.5)) continue;
      this.#say(place, opinion, "suspect", 0);
      this.#say(place, opinion, "dead", between(random, 300, 3000));
    }
  }

  #look(place: Place, server: ServerProcess): void {
    const { clock, random, faults } = this.#options;
    const known = this.#opinions.get(place);
    const opinion = known?.server === server ? known : this.#newOpinion(place, server);
    if (clock.now() < opinion.until) return;
    const isSeen = place.udp === "works" && place.isOn && !place.isCut && place.agent !== undefined;
    if (isSeen && opinion.state === "alive") {
      if (!happens(random, (faults().falselySuspected * TICK_MS) / 1000)) return;
      this.#say(place, opinion, "suspect", between(random, 300, 2500));
    } else if (isSeen) {
      this.#say(place, opinion, "alive", 0);
    } else if (opinion.state === "suspect") {
      this.#say(place, opinion, "dead", 0);
    } else if (opinion.state !== "dead") {
      this.#say(place, opinion, "suspect", between(random, 1500, 3000));
    }
  }

  #newOpinion(place: Place, server: ServerProcess): Opinion {
    const { clock, random } = this.#options;
    const until = clock.now() + between(random, 0, 2000);
    const opinion: Opinion = { server, state: "unknown", until };
    this.#opinions.set(place, opinion);
    return opinion;
  }

  #say(place: Place, opinion: Opinion, state: MemberState, lastsMs: number): void {
    const now = this.#options.clock.now();
    opinion.state = state;
    opinion.until = now + lastsMs;
    opinion.server.health.noteMember(place.node.id, state);
  }
}
