import type { Ack, Ping, PushPull, UserMessage } from "../messages.ts";
import { assertNever } from "../../../lib/assert.ts";
import { compress } from "./compress.ts";
import { concat, type Wrapping } from "./datagram.ts";
import { encrypt, ENCRYPTION_OVERHEAD } from "./encryption.ts";
import { labelBytes, labelHeader } from "./label.ts";
import { encodeMessage, writeText, writeUint } from "./message.ts";
import { TYPE } from "./message-type.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { encodePushPull } from "./push-pull.ts";
import type { Refusal } from "./refusal.ts";

/** A push/pull; `refused` has a word for each member in it that was not taken. */
export interface PushPullMessage {
  type: "pushPull";
  state: PushPull;
  refused: Refusal[];
}

/** What a receiver answers when it can't make sense of a stream. */
export interface ErrorMessage {
  type: "error";
  text: string;
}

/** One message over TCP; each connection carries one either way. */
export type StreamMessage = PushPullMessage | UserMessage | Ping | Ack | ErrorMessage;

export const ENCRYPTED_HEADER_BYTES = 5;

/** Everything that goes over the connection for the message. */
export function encodeStream(message: StreamMessage, wrapping: Wrapping): Uint8Array {
  const payload = encodeBody(message);
  const packed = wrapping.compress ? compress(payload) : payload;
  const shorter = packed.length < payload.length ? packed : payload;
  const header = labelHeader(wrapping.label);
  if (wrapping.cipher === undefined) return concat([header, shorter]);
  const frame = new Uint8Array(ENCRYPTED_HEADER_BYTES);
  frame[0] = TYPE.encrypt;
  new DataView(frame.buffer).setUint32(1, shorter.length + ENCRYPTION_OVERHEAD);
  const data = concat([frame, labelBytes(wrapping.label)]);
  return concat([header, frame, encrypt(wrapping.cipher, shorter, data)]);
}

function encodeBody(message: StreamMessage): Uint8Array {
  switch (message.type) {
    case "pushPull":
      return encodePushPull(message.state);
    case "user":
      return encodeUserMessage(message.payload);
    case "ping":
    case "ack":
      return encodeMessage(message);
    case "error":
      return encodeError(message.text);
    default:
      return assertNever(message);
  }
}

function encodeUserMessage(payload: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(TYPE.user);
  writer.map(1);
  writeUint(writer, "UserMsgLen", payload.length);
  writer.raw(payload);
  return writer.finish();
}

function encodeError(text: string): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(TYPE.error);
  writer.map(1);
  writeText(writer, "Error", text);
  return writer.finish();
}
