import { randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { formatServerAddress, splitServerAddress } from "../../model/server-address.ts";
import { DISCOVERY_PORT, GroupSender } from "./group.ts";
import { decodeAnswer, encodeQuery, hintOf, NONCE_BYTES } from "./message.ts";

const ASK_AT_MS = [0, 400, 1200];
/** More servers may answer shortly after the first one. */
const LINGER_MS = 150;
/** Somebody on the network may repeat a good answer from many addresses. */
const ADDRESSES_MAX = 64;

export interface DiscoverOptions {
  /** Which cluster: the digest of its CA. */
  caDigest: string;
  /** What the answer is to be proved with: the digest of a token's secret, or `discoveryKeyOf`. */
  key: string;
  timeoutMs: number;
  clock: Clock;
  port?: number;
}

/**
 * Asks the local network where the cluster's servers are. Answers without the proof don't count.
 * What is found is where to look, and no more: whoever is there has to prove who he is.
 * @returns `ip:port` of each, the first that answered first; none when nobody answers in time
 */
export async function discoverServers(options: DiscoverOptions): Promise<string[]> {
  const { caDigest, key, timeoutMs, clock, port = DISCOVERY_PORT } = options;
  const nonce = randomBytes(NONCE_BYTES);
  const query = encodeQuery({ caDigest, hint: hintOf(key), nonce });
  const found = new Set<string>();
  const done = Promise.withResolvers<void>();
  const timers = [clock.after(timeoutMs, done.resolve)];
  const sender = new GroupSender((datagram, from) => {
    const addresses = decodeAnswer(datagram, nonce, key) ?? [];
    if (addresses.length > 0 && found.size === 0) timers.push(clock.after(LINGER_MS, done.resolve));
    for (const address of [...seenFrom(from.address, addresses), ...addresses]) {
      if (found.size < ADDRESSES_MAX) found.add(address);
    }
  });
  for (const delayMs of ASK_AT_MS) {
    timers.push(clock.after(delayMs, () => void sender.send(query, port)));
  }
  await done.promise;
  for (const timer of timers) timer.cancel();
  sender.close();
  return [...found];
}

/**
 * A server with several addresses tells the likeliest one; the one that its answer came from is
 * known to be reached from here.
 */
function seenFrom(host: string, told: readonly string[]): string[] {
  return told.map((address) => formatServerAddress(host, splitServerAddress(address).port));
}
