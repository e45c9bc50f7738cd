import type { Clock, Timer } from "../../lib/clock.ts";
import { ownAddresses } from "../own-address.ts";
import { DISCOVERY_PORT, GROUP, openSocket } from "./group.ts";
import { decodeQuery, encodeAnswer, type Query } from "./message.ts";

const INTERFACES_EVERY_MS = 30_000;
/** Answers a second: a site has a handful of machines that look at once, a flood has more. */
const ANSWERS_PER_SECOND = 50;

export interface ResponderOptions {
  caDigest: string;
  /** The key that is meant by a hint, of those that this cluster has now. */
  keyOf(hint: Buffer): string | undefined;
  /** Where servers answer: `ip:port`. */
  addresses(): readonly string[];
  clock: Clock;
  port?: number;
}

/** Tells machines on the local network, who prove that they may know, where the servers are. */
export async function openResponder(options: ResponderOptions): Promise<{ close: () => void }> {
  const { clock } = options;
  const limit = new Limit(clock);
  const socket = await openSocket(options.port ?? DISCOVERY_PORT, (datagram, from) => {
    const query = decodeQuery(datagram);
    const answer = query && answerTo(query, options);
    if (answer === undefined || !limit.takes()) return;
    socket.send(answer, from.port, from.address, () => undefined);
  });
  const joined = new Set<string>();
  let timer: Timer;
  const join = () => {
    timer = clock.after(INTERFACES_EVERY_MS, join);
    const present = new Set(ownAddresses().map(({ address }) => address));
    for (const gone of joined) if (!present.has(gone)) joined.delete(gone);
    for (const address of present) {
      if (joined.has(address)) continue;
      try {
        socket.addMembership(GROUP, address);
        joined.add(address);
      } catch {
        // An interface without multicast, or one that just went: looked at again next time.
      }
    }
  };
  join();
  return {
    close: () => {
      timer.cancel();
      socket.close();
    },
  };
}

/** Nothing is answered to who asks for another cluster, or means a key that is none of ours. */
function answerTo(query: Query, options: ResponderOptions): Buffer | undefined {
  if (query.caDigest !== options.caDigest) return undefined;
  const key = options.keyOf(query.hint);
  return key === undefined ? undefined : encodeAnswer(query.nonce, key, options.addresses());
}

/** So many in a second and no more. */
class Limit {
  readonly #clock: Clock;
  #second = 0;
  #taken = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  takes(): boolean {
    const second = Math.floor(this.#clock.now() / 1000);
    if (second !== this.#second) this.#taken = 0;
    this.#second = second;
    this.#taken += 1;
    return this.#taken <= ANSWERS_PER_SECOND;
  }
}
