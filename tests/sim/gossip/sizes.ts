import type { Message, PushedMember, PushPull } from "../../../src/core/gossip/messages.ts";
import { COMPOUND_BYTES, COMPOUND_ENTRY_BYTES } from "../../../src/core/gossip/broadcast-queue.ts";
import { messageBytes } from "../../../src/core/gossip/message-size.ts";
import { encodeMessage } from "../../../src/core/gossip/wire/message.ts";

const memberBytes = new WeakMap<PushedMember, number>();

/** What one member takes in an exchange more than in an alive message: its state's field. */
const STATE_BYTES = 7;
const EXCHANGE_HEADER_BYTES = 32;

/** Size of a packet as the codec writes it, without compression and encryption. */
export function bytesOfPacket(messages: readonly Message[]): number {
  let sum = 0;
  for (const message of messages) sum += messageBytes(message);
  if (messages.length < 2) return sum;
  return sum + COMPOUND_BYTES + messages.length * COMPOUND_ENTRY_BYTES;
}

export function bytesOfExchange({ members, userState }: PushPull): number {
  let sum = EXCHANGE_HEADER_BYTES + userState.length;
  for (const member of members) {
    let bytes = memberBytes.get(member);
    if (bytes === undefined) {
      bytes = encodeMessage({ ...member, type: "alive" }).length + STATE_BYTES;
      memberBytes.set(member, bytes);
    }
    sum += bytes;
  }
  return sum;
}
