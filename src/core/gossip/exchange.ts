import type { Member } from "./member.ts";
import type { Address, Message, Ping, PushPull } from "./messages.ts";

/** What happens to the membership. */
export type Input =
  /** A packet arrived. */
  | { type: "packet"; from: Address; messages: readonly Message[] }
  /** The time that `nextTimerAt()` gave has come; early or late does no harm. */
  | { type: "tick" }
  /** Find the cluster at these addresses; they are kept and tried again while nobody is there. */
  | { type: "join"; addresses: readonly Address[] }
  /** A peer opened a stream with its state: answered with an `answerPushPull`. */
  | { type: "pushPull"; from: Address; state: PushPull }
  /** The answer on a stream that a `pushPull` effect asked for. */
  | { type: "pushPullAnswer"; id: number; state: PushPull }
  | { type: "streamFailed"; id: number }
  /** The stream of a `streamPing` effect brought an ack for its ping. */
  | { type: "streamAck"; sequence: number }
  | { type: "leave" }
  | { type: "setMeta"; meta: Uint8Array }
  | { type: "setAddress"; address: Address }
  /** What a push/pull carries for the application above. */
  | { type: "setUserState"; userState: Uint8Array }
  /** Bytes for all members, sent along with gossip. */
  | { type: "broadcast"; payload: Uint8Array }
  /** Whether packets wait in this process because the socket takes none (back-pressure). */
  | { type: "backPressure"; isOn: boolean };

/** Why something that arrived was not taken. A closed list, for a metric's label. */
export type Ignored =
  /** An address that no member can have. */
  | "address"
  /** A name that is empty or longer than 253 bytes. */
  | "name"
  /** Meta of more than 512 bytes. */
  | "meta"
  /** Versions that this member does not speak. */
  | "versions"
  /** An incarnation far beyond what is known. */
  | "incarnation"
  /** More members, more probes for others or more pings in a packet than the limit. */
  | "limit"
  /** An indirect ping to nobody that is known. */
  | "stranger"
  /** A ping for another member. */
  | "recipient";

/** What the membership wants done, in order. */
export type Effect =
  /** One packet; with more than one message it is a compound. It fits in `packetBytesMax`. */
  | { type: "sendPacket"; to: Address; node: string; messages: Message[] }
  /** Open a stream, send the state, then give `pushPullAnswer` or `streamFailed` with this id. */
  | { type: "pushPull"; id: number; to: Address; state: PushPull }
  /** Send this on the stream whose `pushPull` input is being handled. */
  | { type: "answerPushPull"; state: PushPull }
  /** Send the ping over a stream and give `streamAck` if an ack comes before `deadlineAt`. */
  | { type: "streamPing"; to: Address; ping: Ping; deadlineAt: number }
  /** `before` is missing for a new member, `after` for one that was forgotten. */
  | { type: "changed"; node: string; before: Member | undefined; after: Member | undefined }
  | { type: "user"; from: Address; payload: Uint8Array }
  | { type: "userState"; payload: Uint8Array; join: boolean }
  /** Two processes say that they are this member. */
  | { type: "conflict"; node: string; known: Address; other: Address }
  /** The others have heard that this member leaves, as far as gossip can make sure. */
  | { type: "left" }
  | { type: "ignored"; why: Ignored; from: Address | undefined };
