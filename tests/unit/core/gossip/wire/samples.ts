import type { Message, PushPull } from "../../../../../src/core/gossip/messages.ts";
import { stretch, utf8 } from "./bytes.ts";

/** One of each message, with the values of the vectors. */
export const MESSAGES = {
  ping: {
    type: "ping",
    sequence: 42,
    node: "b1",
    source: { address: { host: "10.0.0.7", port: 7946 }, node: "a1" },
  },
  pingOld: { type: "ping", sequence: 0xfffffffe, node: "" },
  indirectPing: {
    type: "indirectPing",
    sequence: 300,
    target: { host: "10.0.0.8", port: 7946 },
    node: "c1",
    wantsNack: true,
    source: { address: { host: "10.0.0.7", port: 7947 }, node: "a1" },
  },
  indirectPingOld: {
    type: "indirectPing",
    sequence: 300,
    target: { host: "10.0.0.8", port: 80 },
    node: "c1",
    wantsNack: false,
  },
  ack: { type: "ack", sequence: 70000, payload: new Uint8Array() },
  ackPayload: { type: "ack", sequence: 7, payload: Uint8Array.of(1, 2, 3) },
  nack: { type: "nack", sequence: 255 },
  suspect: { type: "suspect", incarnation: 3, node: "b1", from: "a1" },
  alive: {
    type: "alive",
    incarnation: 65536,
    node: "node-ü",
    address: { host: "192.168.1.2", port: 7946 },
    meta: utf8("meta"),
    versions: [1, 5, 2, 2, 5, 4],
  },
  alive6: {
    type: "alive",
    incarnation: 1,
    node: "six",
    address: { host: "fd00::1", port: 65535 },
    meta: stretch(300),
    versions: [1, 5, 5, 2, 5, 4],
  },
  dead: { type: "dead", incarnation: 9, node: "b1", from: "b1" },
  user: { type: "user", payload: utf8("hello") },
} as const satisfies Record<string, Message>;

/** What the vectors have in a compound message. */
export const COMPOUND: Message[] = [
  { type: "ping", sequence: 42, node: "b1" },
  { type: "dead", incarnation: 9, node: "b1", from: "b1" },
  { type: "user", payload: utf8("hello") },
];

export const PUSH_PULL: PushPull = {
  join: true,
  members: [
    {
      node: "a1",
      address: { host: "10.0.0.7", port: 7946 },
      meta: utf8("m"),
      incarnation: 5,
      state: "alive",
      versions: [1, 5, 2, 2, 5, 4],
    },
    {
      node: "b1",
      address: { host: "fd00::1", port: 7946 },
      meta: new Uint8Array(),
      incarnation: 6,
      state: "left",
      versions: [1, 5, 2, 2, 5, 4],
    },
  ],
  userState: utf8("user state"),
};
