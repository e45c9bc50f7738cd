import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";

/**
 * What serf says above memberlist (hashicorp/serf 0.9, messages.go), as far as it takes part in
 * membership: that a member joins or leaves on purpose. Its events and queries are not orchd's.
 */
export interface Intent {
  kind: "leave" | "join";
  /** Lamport time: a later intent about a member outdoes an earlier one. */
  time: number;
  node: string;
}

/** What two members tell each other of intents in a push/pull. */
export interface SerfState {
  /** The sender's Lamport time. */
  time: number;
  /** Lamport time of the last intent about each member. */
  statusTimes: ReadonlyMap<string, number>;
  /** Members that left on purpose. */
  left: string[];
}

const LEAVE = 0;
const JOIN = 1;
const PUSH_PULL = 2;
/** Lamport times are 64 bits; no cluster comes near to 53. */
const TIME_MAX = Number.MAX_SAFE_INTEGER - 1;
/** Members in a push/pull's state; a count beyond what its bytes can hold is no count. */
const MEMBERS_MAX = 65_536;

export function encodeIntent({ kind, time, node }: Intent): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(kind === "leave" ? LEAVE : JOIN);
  writer.map(kind === "leave" ? 3 : 2);
  writer.text("LTime");
  writer.uint(time);
  writer.text("Node");
  writer.text(node);
  if (kind === "leave") {
    // Whether the member is to be forgotten altogether.
    writer.text("Prune");
    writer.bool(false);
  }
  return writer.finish();
}

/** @returns undefined when it is another message of serf's, or none */
export function decodeIntent(payload: Uint8Array): Intent | undefined {
  const reader = new MsgpackReader(payload);
  const type = reader.byte();
  if (!reader.ok || (type !== LEAVE && type !== JOIN)) return undefined;
  const kind = type === LEAVE ? "leave" : "join";
  const intent: Intent = { kind, time: 0, node: "" };
  for (let left = reader.map(); left > 0 && reader.ok; left--) {
    const field = reader.text();
    if (field === "LTime") intent.time = reader.uint(TIME_MAX);
    else if (field === "Node") intent.node = reader.text();
    else reader.skip();
  }
  return reader.ok && intent.node !== "" ? intent : undefined;
}

/** The user state of a push/pull as serf wants it; it logs an error for any other. */
export function encodeSerfState({ time, statusTimes, left }: SerfState): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(PUSH_PULL);
  writer.map(6);
  writer.text("EventLTime");
  writer.uint(0);
  writer.text("Events");
  writer.array(0);
  writer.text("LTime");
  writer.uint(time);
  writer.text("LeftMembers");
  writer.array(left.length);
  for (const node of left) writer.text(node);
  writer.text("QueryLTime");
  writer.uint(0);
  writer.text("StatusLTimes");
  writer.map(statusTimes.size);
  for (const [node, status] of statusTimes) {
    writer.text(node);
    writer.uint(status);
  }
  return writer.finish();
}

/** @returns undefined when it is not serf's, as that of a member that is no serf */
export function decodeSerfState(userState: Uint8Array): SerfState | undefined {
  const reader = new MsgpackReader(userState);
  if (reader.byte() !== PUSH_PULL) return undefined;
  let time = 0;
  const statusTimes = new Map<string, number>();
  const left: string[] = [];
  for (let fields = reader.map(); fields > 0 && reader.ok; fields--) {
    const field = reader.text();
    if (field === "LTime") time = reader.uint(TIME_MAX);
    else if (field === "LeftMembers") {
      for (let n = bounded(reader, reader.array()); n > 0 && reader.ok; n--) {
        left.push(reader.text());
      }
    } else if (field === "StatusLTimes") {
      for (let n = bounded(reader, reader.map()); n > 0 && reader.ok; n--) {
        const node = reader.text();
        statusTimes.set(node, reader.uint(TIME_MAX));
      }
      // Events of serf's users may be long; nothing of ours comes after them.
    } else if (field === "Events") reader.skip(EVENT_VALUES_MAX);
    else reader.skip();
  }
  return reader.ok ? { time, statusTimes, left } : undefined;
}

/** serf keeps 512 Lamport times of events, with several events in each. */
const EVENT_VALUES_MAX = 65_536;

function bounded(reader: MsgpackReader, count: number): number {
  if (count > MEMBERS_MAX) reader.refuse("tooMany");
  return count;
}
