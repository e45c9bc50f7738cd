import type { Address, Versions } from "../messages.ts";
import { hostOfBytes, isLoopback, isMemberHost } from "./address.ts";
import type { Fields } from "./fields.ts";
import { META_BYTES_MAX, NAME_BYTES_MAX } from "./message.ts";
import type { Refusal } from "./refusal.ts";

/** Where the first thing that is wrong is noted. */
export interface Judge {
  refuse(refusal: Refusal): void;
}

/** What a receiver takes as an address. */
export interface AddressPolicy {
  /** Whether loopback addresses are taken: only where all members are on one machine. */
  loopback: boolean;
}

export function nameOf(judge: Judge, name: string): string {
  if (name === "" || isTooLong(name)) judge.refuse("badName");
  return name;
}

/** An empty name is what old peers send where a name is optional. */
export function optionalNameOf(judge: Judge, name: string): string {
  return name === "" ? name : nameOf(judge, name);
}

export function addressOf(
  judge: Judge,
  bytes: Uint8Array,
  port: number,
  policy: AddressPolicy,
): Address {
  const address = { host: hostOfBytes(bytes) ?? "", port };
  const taken = port > 0 && isMemberHost(bytes) && (policy.loopback || !isLoopback(address.host));
  if (!taken) judge.refuse("badAddress");
  return address;
}

/** Who asks; absent in old peers, which send neither address nor port. */
export function sourceOf(
  judge: Judge,
  fields: Fields,
  policy: AddressPolicy,
): { address: Address; node: string } | undefined {
  if (fields.SourceAddr.length === 0 || fields.SourcePort === 0) return undefined;
  const address = addressOf(judge, fields.SourceAddr, fields.SourcePort, policy);
  return { address, node: optionalNameOf(judge, fields.SourceNode) };
}

export function metaOf(judge: Judge, meta: Uint8Array): Uint8Array {
  if (meta.length > META_BYTES_MAX) judge.refuse("tooLarge");
  return meta.slice();
}

/** Both triples in order, the protocol's from 1 on; a peer of before there were six is too old. */
export function versionsOf(judge: Judge, bytes: Uint8Array): Versions {
  const [pMin = 0, pMax = 0, pNow = 0, dMin = 0, dMax = 0, dNow = 0] = bytes;
  if (bytes.length !== 6 || pMin < 1 || !inOrder(pMin, pNow, pMax) || !inOrder(dMin, dNow, dMax)) {
    judge.refuse("badVersions");
  }
  return [pMin, pMax, pNow, dMin, dMax, dNow];
}

function inOrder(least: number, middle: number, most: number): boolean {
  return least <= middle && middle <= most;
}

/** No character takes more than three bytes for each of its code units. */
function isTooLong(name: string): boolean {
  if (name.length * 3 <= NAME_BYTES_MAX) return false;
  return new TextEncoder().encode(name).length > NAME_BYTES_MAX;
}
