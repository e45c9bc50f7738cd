import type { Message } from "./messages.ts";
import { encodeMessage } from "./wire/message.ts";

/** A broadcast is measured once, however many packets it goes into. */
const known = new WeakMap<Message, number>();

/** How many bytes the message takes in a packet. */
export function messageBytes(message: Message): number {
  let bytes = known.get(message);
  if (bytes === undefined) {
    bytes = encodeMessage(message).length;
    known.set(message, bytes);
  }
  return bytes;
}
