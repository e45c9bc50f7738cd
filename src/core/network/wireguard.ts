import type { WireguardPeer } from "./links.ts";

/** A peer as the device has it. */
export interface FoundPeer {
  key: string;
  /** Where its last packet came from, or where it was said to be. */
  endpoint: string;
  allowed: string;
  keepalive: number;
  /** Seconds since 1970; 0 means never. */
  handshakeAt: number;
}

/** WireGuard renews its keys after two minutes, so that an older handshake is a dead one. */
const HANDSHAKE_FRESH_S = 180;

/** Reads what `wg show DEVICE dump` prints; the first line is the device's own. */
export function parsePeers(text: string): FoundPeer[] {
  return text
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [key = "", , endpoint = "", allowed = "", handshake, , , keepalive] = line.split("\t");
      const seconds = keepalive === "off" ? 0 : Number(keepalive);
      return { key, endpoint, allowed, keepalive: seconds, handshakeAt: Number(handshake) };
    });
}

/**
 * Words for `wg set DEVICE`, none when nothing differs. Where a peer is said to be does not replace
 * where it was heard from a moment ago: behind a router that is the only way to it.
 * @param before what was wanted last, by key; empty when that is not known
 * @param nowS seconds since 1970
 */
export function planPeers(
  found: readonly FoundPeer[],
  wanted: ReadonlyMap<string, WireguardPeer>,
  before: ReadonlyMap<string, WireguardPeer>,
  nowS: number,
): string[] {
  const had = new Map(found.map((peer) => [peer.key, peer]));
  const words: string[] = [];
  for (const key of had.keys()) if (!wanted.has(key)) words.push("peer", key, "remove");
  for (const [key, peer] of wanted) {
    const is = had.get(key);
    const hasMoved = hasMovedSince(peer, is, before.get(key), nowS);
    const isSame = is?.keepalive === peer.keepalive && sameNetworks(is.allowed, peer.allowed);
    if (isSame && !hasMoved) continue;
    words.push("peer", key, "allowed-ips", peer.allowed);
    words.push("persistent-keepalive", `${peer.keepalive}`);
    if (hasMoved) words.push("endpoint", peer.endpoint);
  }
  return words;
}

/** In whichever order the device tells them. */
function sameNetworks(a: string, b: string): boolean {
  return a.split(",").sort().join() === b.split(",").sort().join();
}

function hasMovedSince(
  { endpoint }: WireguardPeer,
  is: FoundPeer | undefined,
  before: WireguardPeer | undefined,
  nowS: number,
): boolean {
  if (is === undefined) return true;
  if (before !== undefined) return before.endpoint !== endpoint;
  return is.endpoint !== endpoint && nowS - is.handshakeAt > HANDSHAKE_FRESH_S;
}
