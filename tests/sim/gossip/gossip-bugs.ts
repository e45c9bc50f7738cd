import type { Message } from "../../../src/core/gossip/messages.ts";
import type { GossipInvariant } from "./suffering.ts";

/** A fault of ours, put into what members send: the checks must find it. */
export interface GossipBug {
  name: string;
  breaks: readonly GossipInvariant[];
  tamper(from: string, messages: Message[]): Message[];
}

export const GOSSIP_BUGS: readonly GossipBug[] = [
  {
    name: "never refutes",
    breaks: ["G3", "G4"],
    tamper: (from, messages) =>
      messages.filter((message) => message.type !== "alive" || message.node !== from),
  },
  {
    name: "raises the incarnations of others",
    breaks: ["G1"],
    tamper: (from, messages) =>
      messages.map((message) =>
        message.type === "alive" && message.node !== from
          ? { ...message, incarnation: message.incarnation + 1 }
          : message,
      ),
  },
  {
    name: "acks for the dead",
    breaks: ["G2"],
    tamper: (_, messages) =>
      messages.map((message) =>
        message.type === "nack"
          ? { type: "ack", sequence: message.sequence, payload: new Uint8Array() }
          : message,
      ),
  },
  {
    name: "packs too much",
    breaks: ["G5"],
    tamper: (_, messages) => Array.from({ length: 8 }, () => messages).flat(),
  },
];
