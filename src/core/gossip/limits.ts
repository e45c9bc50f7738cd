import type { Context } from "./context.ts";
import type { Ignored } from "./exchange.ts";
import type { Member } from "./member.ts";
import type { Alive, Versions } from "./messages.ts";
import { isMemberAddress } from "./wire/address.ts";

/** A DNS name has no more. */
export const NAME_BYTES_MAX = 253;
export const META_BYTES_MAX = 512;
/**
 * How far an incarnation may be beyond what is known of the member. It grows by one with each
 * refutation, so no honest member gets so far ahead of what others heard; and nobody can push it to
 * the end of its 32 bits, where a member could not refute any more.
 */
export const INCARNATION_JUMP_MAX = 2 ** 20;
/** What a member begins with that nobody knows. */
export const INCARNATION_FIRST_MAX = 2 ** 31;
export const INCARNATION_MAX = 2 ** 32 - 1;

/**
 * Why an alive message is not taken, whatever is known of its member.
 * @param isOwnWord whether the member itself said it, on a stream to where it is known to be
 */
export function whyRefused(
  context: Context,
  message: Alive,
  isOwnWord: boolean,
): Ignored | undefined {
  const { roster, tuning, self } = context;
  const known = roster.get(message.node);
  // As of a member that nobody knows: somebody may have pushed it to where others can't follow.
  if (isFarAhead(isOwnWord ? undefined : known, message.incarnation)) return "incarnation";
  if (message.meta.length > META_BYTES_MAX) return "meta";
  if (!speakTogether(self.versions, message.versions)) return "versions";
  if (known === undefined) {
    if (!isName(message.node)) return "name";
    if (roster.size >= tuning.membersMax) return "limit";
  }
  const { address } = message;
  const isMoved = known?.address.host !== address.host || known.address.port !== address.port;
  return isMoved && !isMemberAddress(address) ? "address" : undefined;
}

export function isFarAhead(known: Member | undefined, incarnation: number): boolean {
  if (!Number.isInteger(incarnation) || incarnation < 0) return true;
  if (known === undefined) return incarnation > INCARNATION_FIRST_MAX;
  const most = Math.min(INCARNATION_MAX, known.incarnation + INCARNATION_JUMP_MAX);
  return incarnation > most;
}

function isName(name: string): boolean {
  if (name === "" || name.length > NAME_BYTES_MAX) return false;
  return new TextEncoder().encode(name).length <= NAME_BYTES_MAX;
}

/**
 * Whether each speaks a version that the other understands, of the protocol and of the application
 * above it; a version of zero says nothing (memberlist, state.go, verifyProtocol).
 */
export function speakTogether(a: Versions, b: Versions): boolean {
  if (b[0] < 1 || b[0] > b[1]) return false;
  return fits(a[0], a[1], b[2]) && fits(b[0], b[1], a[2]) && fitsAbove(a, b) && fitsAbove(b, a);
}

function fitsAbove(a: Versions, b: Versions): boolean {
  const saysNothing = a[4] === 0 || b[4] === 0;
  return saysNothing || fits(a[3], a[4], b[5]);
}

function fits(least: number, most: number, version: number): boolean {
  return least <= version && version <= most;
}
