import type { Clock, Timer } from "../../lib/clock.ts";
import { ownAddresses } from "../own-address.ts";
import { AnswerLimit } from "./answer-limit.ts";
import { DISCOVERY_PORT, GROUP, openSocket, sendTo, type Sender } from "./group.ts";
import { decodeQuery, encodeAnswer } from "./message.ts";

/** A server may start before its network is there; nobody finds it until it has looked again. */
const INTERFACES_EVERY_MS = 5000;

export interface ResponderOptions {
  caDigest: string;
  /** The key that is meant by a hint, of those that this cluster has now. */
  keyOf(hint: Buffer): string | undefined;
  /** Where servers answer: `ip:port`. */
  addresses(): readonly string[];
  clock: Clock;
  port?: number;
}

export interface Responder {
  readonly port: number;
  close(): void;
}

/** Tells machines on the local network, who prove that they may know, where the servers are. */
export async function openResponder(options: ResponderOptions): Promise<Responder> {
  const { clock } = options;
  const limit = new AnswerLimit();
  const socket = await openSocket({ port: options.port ?? DISCOVERY_PORT }, (datagram, from) => {
    const answer = answerTo(datagram, from, options, limit);
    if (answer !== undefined) sendTo(socket, answer, from);
  });
  let timer: Timer;
  // Always anew: an interface that was away and came back with its address has left the group.
  const join = () => {
    timer = clock.after(INTERFACES_EVERY_MS, join);
    for (const { address } of ownAddresses()) {
      try {
        socket.addMembership(GROUP, address);
      } catch {
        // It is in the group already, takes no multicast, or has just gone.
      }
    }
  };
  join();
  return {
    port: socket.address().port,
    close: () => {
      timer.cancel();
      socket.close();
    },
  };
}

/** Nothing is answered to who asks for another cluster, or means a key that is none of ours. */
function answerTo(
  datagram: Buffer,
  from: Sender,
  options: ResponderOptions,
  limit: AnswerLimit,
): Buffer | undefined {
  const query = decodeQuery(datagram);
  if (query === undefined || query.caDigest !== options.caDigest) return undefined;
  const key = options.keyOf(query.hint);
  if (key === undefined || !limit.takes(from.address, options.clock.now())) return undefined;
  return encodeAnswer(query.nonce, key, options.addresses());
}
