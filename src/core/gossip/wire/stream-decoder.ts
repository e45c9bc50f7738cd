import type { PushedMember } from "../messages.ts";
import { assertNever } from "../../../lib/assert.ts";
import { decompress } from "./compress.ts";
import { concat, type Wrapping } from "./datagram.ts";
import { decrypt, ENCRYPTION_OVERHEAD } from "./encryption.ts";
import { readFields, type Fields } from "./fields.ts";
import type { AddressPolicy } from "./judge.ts";
import { acceptLabel, labelBytes } from "./label.ts";
import { isKnownType, TYPE } from "./message-type.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import { MEMBER_BYTES_MAX, MEMBER_BYTES_MIN, memberOf } from "./push-pull.ts";
import { readPing } from "./read-message.ts";
import type { Refusal } from "./refusal.ts";
import { ENCRYPTED_HEADER_BYTES, type StreamMessage } from "./stream-message.ts";

/** What a push/pull or a user message may come to, unpacked; memberlist's own limit is 20 MiB. */
export const STATE_BYTES_MAX = 1024 * 1024;
/** Headers around the state. */
const SLACK_BYTES = 1024;

export interface StreamOptions extends AddressPolicy {
  wrapping: Wrapping;
  /** Bytes of state; `STATE_BYTES_MAX` when absent. */
  stateBytesMax?: number;
}

/**
 * Reads the one message of a connection from chunks as they come. It holds at most the bytes that
 * came, never what a header promises, and looks at each of them a bounded number of times.
 */
export class StreamDecoder {
  private readonly options: StreamOptions;
  private readonly stateBytesMax: number;
  private buffer = new Uint8Array(4096);
  private used = 0;
  /** Nothing can be said before there are as many bytes. */
  private wanted = 1;
  private body: { start: number; reader: BodyReader } | undefined;

  constructor(options: StreamOptions) {
    this.options = options;
    this.stateBytesMax = options.stateBytesMax ?? STATE_BYTES_MAX;
  }

  /** @returns the message, why it is refused, or undefined while more has to come */
  feed(chunk: Uint8Array): StreamMessage | Refusal | undefined {
    if (this.used + chunk.length > this.stateBytesMax + SLACK_BYTES) return "tooLarge";
    this.append(chunk);
    return this.used < this.wanted ? undefined : this.read();
  }

  private append(chunk: Uint8Array): void {
    const used = this.used + chunk.length;
    if (used > this.buffer.length) {
      const grown = new Uint8Array(Math.max(this.buffer.length * 2, used));
      grown.set(this.buffer.subarray(0, this.used));
      this.buffer = grown;
    }
    this.buffer.set(chunk, this.used);
    this.used = used;
  }

  private read(): StreamMessage | Refusal | undefined {
    if (this.body !== undefined) return this.readBody(this.body);
    const bytes = this.buffer.subarray(0, this.used);
    const start = acceptLabel(bytes, this.options.wrapping.label);
    if (start === "truncated" || start === bytes.length) return this.wait(this.used + 1);
    if (start === "badLabel") return start;
    const isEncrypted = bytes[start] === TYPE.encrypt;
    if (this.options.wrapping.cipher === undefined) {
      if (isEncrypted) return "undecryptable";
      this.body = { start, reader: new BodyReader(this.options, this.stateBytesMax) };
      return this.readBody(this.body);
    }
    return isEncrypted ? this.readEncrypted(bytes.subarray(start), start) : "plaintext";
  }

  private readBody({ start, reader }: { start: number; reader: BodyReader }) {
    const answer = reader.read(this.buffer.subarray(start, this.used));
    return answer ?? this.wait(start + reader.wanted);
  }

  private readEncrypted(bytes: Uint8Array, start: number): StreamMessage | Refusal | undefined {
    if (bytes.length < ENCRYPTED_HEADER_BYTES) return this.wait(start + ENCRYPTED_HEADER_BYTES);
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (length > this.stateBytesMax + ENCRYPTION_OVERHEAD) return "tooLarge";
    const end = ENCRYPTED_HEADER_BYTES + length;
    if (bytes.length < end) return this.wait(start + end);
    const { cipher, label } = this.options.wrapping;
    const header = bytes.subarray(0, ENCRYPTED_HEADER_BYTES);
    const data = concat([header, labelBytes(label)]);
    const sealed = bytes.subarray(ENCRYPTED_HEADER_BYTES, end);
    const plain = cipher === undefined ? "undecryptable" : decrypt(cipher, sealed, data);
    if (typeof plain === "string") return plain;
    return new BodyReader(this.options, this.stateBytesMax).readWhole(plain);
  }

  private wait(bytes: number): undefined {
    this.wanted = Math.max(bytes, this.used + 1);
  }
}

/** Reads what is inside of label and encryption. */
class BodyReader {
  /** How many bytes there must be to get any further. */
  wanted = 1;
  private readonly policy: AddressPolicy;
  private readonly stateBytesMax: number;
  private pushPull: PushPullReader | undefined;

  constructor(policy: AddressPolicy, stateBytesMax: number) {
    this.policy = policy;
    this.stateBytesMax = stateBytesMax;
  }

  readWhole(bytes: Uint8Array): StreamMessage | Refusal {
    if (bytes.length === 0) return "empty";
    return this.read(bytes) ?? "truncated";
  }

  /** @param bytes all that came so far */
  read(bytes: Uint8Array): StreamMessage | Refusal | undefined {
    const reader = new MsgpackReader(bytes);
    const type = reader.byte();
    const answer =
      type === TYPE.pushPull
        ? this.readPushPull(reader)
        : type === TYPE.compress
          ? this.readCompressed(reader)
          : this.readSmall(type, reader);
    if (answer !== "truncated") return answer;
    this.wanted = reader.wanted;
    return undefined;
  }

  private readPushPull(reader: MsgpackReader): StreamMessage | Refusal {
    this.pushPull ??= new PushPullReader(this.policy, this.stateBytesMax);
    return this.pushPull.read(reader);
  }

  /** memberlist unpacks once; what is in there can't be compressed again. */
  private readCompressed(reader: MsgpackReader): StreamMessage | Refusal {
    const inner = decompress(reader, this.stateBytesMax);
    if (typeof inner === "string") return inner;
    if (inner[0] === TYPE.compress) return "tooDeep";
    const whole = new BodyReader(this.policy, this.stateBytesMax).readWhole(inner);
    // The end of what was compressed is the end: waiting would not bring more.
    return whole === "truncated" ? "badCompression" : whole;
  }

  private readSmall(type: number, reader: MsgpackReader): StreamMessage | Refusal {
    if (!isSmall(type)) return isKnownType(type) ? "misplaced" : "unknownType";
    const fields = readFields(reader);
    const message = this.smallMessage(type, reader, fields);
    return reader.refused ?? message;
  }

  private smallMessage(type: SmallType, reader: MsgpackReader, fields: Fields): StreamMessage {
    switch (type) {
      case TYPE.error:
        return { type: "error", text: fields.Error };
      case TYPE.ack:
        return { type: "ack", sequence: fields.SeqNo, payload: fields.Payload.slice() };
      case TYPE.ping:
        return readPing(reader, fields, this.policy);
      case TYPE.user:
        if (fields.UserMsgLen > this.stateBytesMax) reader.refuse("tooLarge");
        return { type: "user", payload: reader.raw(fields.UserMsgLen).slice() };
      default:
        return assertNever(type);
    }
  }
}

type SmallType = (typeof SMALL_TYPES)[number];
const SMALL_TYPES = [TYPE.ping, TYPE.ack, TYPE.user, TYPE.error] as const;

function isSmall(type: number): type is SmallType {
  return SMALL_TYPES.some((small) => small === type);
}

/** Remembers how far it came, so that no member is read twice however small the chunks are. */
class PushPullReader {
  private readonly policy: AddressPolicy;
  private readonly stateBytesMax: number;
  private readonly members: PushedMember[] = [];
  private readonly refused: Refusal[] = [];
  private header: Fields | undefined;
  private at = 0;

  constructor(policy: AddressPolicy, stateBytesMax: number) {
    this.policy = policy;
    this.stateBytesMax = stateBytesMax;
  }

  /** @param reader stands behind the message's type */
  read(reader: MsgpackReader): StreamMessage | Refusal {
    if (this.header !== undefined) reader.at = this.at;
    const header = (this.header ??= this.readHeader(reader));
    if (header === undefined) return reader.refused ?? "truncated";
    this.at = reader.at;
    while (this.members.length + this.refused.length < header.Nodes) {
      const fields = readFields(reader);
      if (reader.wanted - this.at > MEMBER_BYTES_MAX) return "tooLarge";
      if (reader.refused !== undefined) return reader.refused;
      const member = memberOf(fields, this.policy);
      if (typeof member === "string") this.refused.push(member);
      else this.members.push(member);
      this.at = reader.at;
    }
    const userState = reader.raw(header.UserStateLen).slice();
    if (reader.refused !== undefined) return reader.refused;
    const state = { join: header.Join, members: this.members, userState };
    return { type: "pushPull", state, refused: this.refused };
  }

  private readHeader(reader: MsgpackReader): Fields | undefined {
    const header = readFields(reader);
    if (header.UserStateLen > this.stateBytesMax) reader.refuse("tooLarge");
    if (header.Nodes > this.stateBytesMax / MEMBER_BYTES_MIN) reader.refuse("tooMany");
    return reader.ok ? header : undefined;
  }
}
