/**
 * What members tell each other, as values: the messages of memberlist's protocol, version 5
 * (hashicorp/memberlist, net.go and state.go). How they look in packets is the business of `wire/`.
 */

/** Where a member is reached. `host` is an IPv4 or IPv6 address as text, never a name. */
export interface Address {
  host: string;
  port: number;
}

/** The six versions that each member announces: protocol min, max, current; delegate the same. */
export type Versions = readonly [number, number, number, number, number, number];

export interface Ping {
  type: "ping";
  sequence: number;
  /** Name of the member that is asked, so that a wrong one does not answer; empty in old peers. */
  node: string;
  /** Who asks; absent in old peers. */
  source?: { address: Address; node: string };
}

export interface IndirectPing {
  type: "indirectPing";
  sequence: number;
  target: Address;
  node: string;
  /** Whether the asker understands a nack. */
  wantsNack: boolean;
  source?: { address: Address; node: string };
}

export interface Ack {
  type: "ack";
  sequence: number;
  payload: Uint8Array;
}

export interface Nack {
  type: "nack";
  sequence: number;
}

export interface Suspect {
  type: "suspect";
  incarnation: number;
  node: string;
  /** Name of the member that suspects. */
  from: string;
}

export interface Alive {
  type: "alive";
  incarnation: number;
  node: string;
  address: Address;
  /** At most 512 bytes. */
  meta: Uint8Array;
  versions: Versions;
}

/** From the member itself it means that it left. */
export interface Dead {
  type: "dead";
  incarnation: number;
  node: string;
  from: string;
}

/** Bytes of an application above the protocol, such as serf's. */
export interface UserMessage {
  type: "user";
  payload: Uint8Array;
}

export type Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | UserMessage;

/** Messages that are passed on from member to member. */
export type Broadcastable = Suspect | Alive | Dead | UserMessage;

export type MemberState = "alive" | "suspect" | "dead" | "left";

/** One member as a push/pull over TCP tells it. */
export interface PushedMember {
  node: string;
  address: Address;
  meta: Uint8Array;
  incarnation: number;
  state: MemberState;
  versions: Versions;
}

export interface PushPull {
  /** Whether the sender is joining. */
  join: boolean;
  members: PushedMember[];
  /** State of an application above the protocol, such as serf's. */
  userState: Uint8Array;
}
