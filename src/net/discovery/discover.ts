import { randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { DISCOVERY_PORT, openSocket, sendToGroup } from "./group.ts";
import { decodeAnswer, encodeQuery, hintOf, NONCE_BYTES } from "./message.ts";

const ASK_AT_MS = [0, 400, 1200];
/** More servers may answer shortly after the first one. */
const LINGER_MS = 150;

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
 * @returns `ip:port` of each, the first that answered first; none when nobody answers in time
 */
export async function discoverServers(options: DiscoverOptions): Promise<string[]> {
  const { caDigest, key, timeoutMs, clock, port = DISCOVERY_PORT } = options;
  const nonce = randomBytes(NONCE_BYTES);
  const query = encodeQuery({ caDigest, hint: hintOf(key), nonce });
  const found = new Set<string>();
  const done = Promise.withResolvers<void>();
  const timers = [clock.after(timeoutMs, done.resolve)];
  const socket = await openSocket(0, (datagram) => {
    const addresses = decodeAnswer(datagram, nonce, key) ?? [];
    if (addresses.length > 0 && found.size === 0) timers.push(clock.after(LINGER_MS, done.resolve));
    for (const address of addresses) found.add(address);
  });
  for (const delayMs of ASK_AT_MS) {
    timers.push(clock.after(delayMs, () => sendToGroup(socket, query, port)));
  }
  await done.promise;
  for (const timer of timers) timer.cancel();
  socket.close();
  return [...found];
}
