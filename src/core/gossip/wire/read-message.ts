import type { Alive, IndirectPing, Message, Ping } from "../messages.ts";
import { readFields, type Fields } from "./fields.ts";
import {
  addressOf,
  metaOf,
  nameOf,
  optionalNameOf,
  sourceOf,
  versionsOf,
  type AddressPolicy,
  type Judge,
} from "./judge.ts";
import { isKnownType, TYPE } from "./message-type.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import type { Refusal } from "./refusal.ts";

/**
 * One message of a packet, without compound, compressed or other wrappings. Bytes behind its end
 * are left alone, as memberlist does.
 * @returns the message, or why it is not taken
 */
export function decodeMessage(bytes: Uint8Array, policy: AddressPolicy): Message | Refusal {
  const reader = new MsgpackReader(bytes);
  if (bytes.length === 0) return "empty";
  const type = reader.byte();
  if (type === TYPE.user) return { type: "user", payload: bytes.slice(1) };
  const read = READERS.get(type);
  if (read === undefined) return isKnownType(type) ? "misplaced" : "unknownType";
  const message = read(reader, readFields(reader), policy);
  return reader.refused ?? message;
}

type Read = (judge: Judge, fields: Fields, policy: AddressPolicy) => Message;

const READERS = new Map<number, Read>([
  [TYPE.ping, readPing],
  [TYPE.indirectPing, readIndirectPing],
  [
    TYPE.ack,
    (_, fields) => ({ type: "ack", sequence: fields.SeqNo, payload: fields.Payload.slice() }),
  ],
  [TYPE.nack, (_, fields) => ({ type: "nack", sequence: fields.SeqNo })],
  [TYPE.suspect, (judge, fields) => readAccusation(judge, fields, "suspect")],
  [TYPE.dead, (judge, fields) => readAccusation(judge, fields, "dead")],
  [TYPE.alive, readAlive],
]);

export function readPing(judge: Judge, fields: Fields, policy: AddressPolicy): Ping {
  const source = sourceOf(judge, fields, policy);
  const node = optionalNameOf(judge, fields.Node);
  return {
    type: "ping",
    sequence: fields.SeqNo,
    node,
    ...(source === undefined ? {} : { source }),
  };
}

function readIndirectPing(judge: Judge, fields: Fields, policy: AddressPolicy): IndirectPing {
  const source = sourceOf(judge, fields, policy);
  return {
    type: "indirectPing",
    sequence: fields.SeqNo,
    target: addressOf(judge, fields.Target, fields.Port, policy),
    node: optionalNameOf(judge, fields.Node),
    wantsNack: fields.Nack,
    ...(source === undefined ? {} : { source }),
  };
}

function readAccusation(judge: Judge, fields: Fields, type: "suspect" | "dead"): Message {
  const node = nameOf(judge, fields.Node);
  return { type, incarnation: fields.Incarnation, node, from: nameOf(judge, fields.From) };
}

function readAlive(judge: Judge, fields: Fields, policy: AddressPolicy): Alive {
  return {
    type: "alive",
    incarnation: fields.Incarnation,
    node: nameOf(judge, fields.Node),
    address: addressOf(judge, fields.Addr, fields.Port, policy),
    meta: metaOf(judge, fields.Meta),
    versions: versionsOf(judge, fields.Vsn),
  };
}
