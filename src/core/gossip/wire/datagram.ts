import { crc32 } from "node:zlib";
import type { Message } from "../messages.ts";
import { compress, decompress } from "./compress.ts";
import { decrypt, encrypt, ENCRYPTION_OVERHEAD, type Cipher } from "./encryption.ts";
import type { AddressPolicy } from "./judge.ts";
import { acceptLabel, labelBytes, labelHeader } from "./label.ts";
import { TYPE } from "./message-type.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import { decodeMessage } from "./read-message.ts";
import type { Refusal } from "./refusal.ts";

/** Smallest packet that every link carries in one piece with its headers; memberlist's default. */
export const PACKET_BYTES_MAX = 1400;
/** Type and number of parts of a compound message, and the length of each part. */
export const COMPOUND_HEADER_BYTES = 2;
export const COMPOUND_PART_BYTES = 2;
const COMPOUND_PARTS_MAX = 255;
const CRC_HEADER_BYTES = 5;

/** What one packet may unpack to, in all its parts together. */
const DECOMPRESSED_BYTES_MAX = 64 * 1024;
/** The shortest messages fill a packet with about half as many. */
const MESSAGES_MAX = 512;
/** memberlist sends a compound within a compressed message, and a message in that. */
const DEPTH_MAX = 3;

/** How this cluster's packets are wrapped. */
export interface Wrapping {
  /** Name of the cluster in every packet; empty for none. */
  label: string;
  /** Absent where nothing is encrypted. */
  cipher?: Cipher | undefined;
  /** Whether what gets shorter by it is compressed. */
  compress: boolean;
}

/** What the wrapping adds to the messages of a packet, compression left out. */
export function packetOverhead({ label, cipher }: Wrapping): number {
  const encryption = cipher === undefined ? 0 : ENCRYPTION_OVERHEAD;
  return labelHeader(label).length + encryption + CRC_HEADER_BYTES;
}

/**
 * Puts encoded messages together into as few payloads as their order allows. One that is too long
 * for a packet has a payload of its own, since a longer packet may still arrive.
 * @param room bytes of a payload: those of a packet without the overhead
 */
export function packMessages(messages: readonly Uint8Array[], room: number): Uint8Array[] {
  const groups: Uint8Array[][] = [];
  let left = 0;
  for (const message of messages) {
    const group = groups.at(-1);
    left -= COMPOUND_PART_BYTES + message.length;
    if (group !== undefined && left >= 0 && group.length < COMPOUND_PARTS_MAX) {
      group.push(message);
      continue;
    }
    groups.push([message]);
    left = room - COMPOUND_HEADER_BYTES - COMPOUND_PART_BYTES - message.length;
  }
  return groups.map(compound);
}

/** The parts as one message; a single part is itself. */
function compound(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const lengths = parts.flatMap((part) => [part.length >> 8, part.length & 0xff]);
  return concat([Uint8Array.from([TYPE.compound, parts.length, ...lengths]), ...parts]);
}

/** A payload as it goes out: compressed if that helps, with a checksum, encrypted, labelled. */
export function encodeDatagram(payload: Uint8Array, wrapping: Wrapping): Uint8Array {
  const packed = wrapping.compress ? compress(payload) : payload;
  const summed = withChecksum(packed.length < payload.length ? packed : payload);
  const header = labelHeader(wrapping.label);
  if (wrapping.cipher === undefined) return concat([header, summed]);
  return concat([header, encrypt(wrapping.cipher, summed, labelBytes(wrapping.label))]);
}

/** Every member of protocol version 5 understands a checksum; no other may join. */
function withChecksum(payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(CRC_HEADER_BYTES);
  header[0] = TYPE.crc;
  new DataView(header.buffer).setUint32(1, crc32(payload));
  return concat([header, payload]);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a packet held, and what of it was not taken. */
export interface Received {
  messages: Message[];
  /** One word for each part that was refused. */
  refused: Refusal[];
}

/**
 * Reads a whole packet. Total: any bytes give an answer, in bounded time and memory.
 * A part of a compound message that is not taken leaves the other parts alone.
 */
export function decodeDatagram(
  packet: Uint8Array,
  wrapping: Wrapping,
  policy: AddressPolicy,
): Received {
  const received: Received = { messages: [], refused: [] };
  const payload = unwrap(packet, wrapping);
  if (typeof payload === "string") return { messages: [], refused: [payload] };
  const budget = { bytes: DECOMPRESSED_BYTES_MAX, messages: MESSAGES_MAX };
  readPart(payload, 0, { received, policy, budget });
  return received;
}

/** Takes off label, encryption and checksum. */
function unwrap(packet: Uint8Array, { label, cipher }: Wrapping): Uint8Array | Refusal {
  if (packet.length === 0) return "empty";
  const at = acceptLabel(packet, label);
  if (typeof at === "string") return at;
  const sealed = packet.subarray(at);
  const summed = cipher === undefined ? sealed : openPacket(cipher, sealed, label);
  if (typeof summed === "string") return summed;
  if (summed[0] !== TYPE.crc) return summed;
  if (summed.length < CRC_HEADER_BYTES) return "truncated";
  const view = new DataView(summed.buffer, summed.byteOffset);
  const payload = summed.subarray(CRC_HEADER_BYTES);
  return view.getUint32(1) === crc32(payload) ? payload : "badChecksum";
}

/** Whether a packet is encrypted shows only in that a key opens it; 0 and 1 may begin either. */
function openPacket(cipher: Cipher, sealed: Uint8Array, label: string): Uint8Array | Refusal {
  const plain = decrypt(cipher, sealed, labelBytes(label));
  if (plain !== "undecryptable") return plain;
  const first = sealed[0] ?? 0;
  return first > 1 && first <= TYPE.error ? "plaintext" : plain;
}

interface Reading {
  received: Received;
  policy: AddressPolicy;
  budget: { bytes: number; messages: number };
}

function readPart(part: Uint8Array, depth: number, reading: Reading): void {
  const { received, budget } = reading;
  const type = part[0];
  if (budget.messages-- <= 0) {
    // Told once: the rest of the packet is not even looked at.
    if (budget.messages === -1) received.refused.push("tooMany");
  } else if (type !== TYPE.compound && type !== TYPE.compress) {
    const message = decodeMessage(part, reading.policy);
    if (typeof message === "string") received.refused.push(message);
    else received.messages.push(message);
  } else if (depth >= DEPTH_MAX) {
    received.refused.push("tooDeep");
  } else if (type === TYPE.compound) {
    for (const inner of splitCompound(part, received.refused)) readPart(inner, depth + 1, reading);
  } else {
    const inner = decompress(new MsgpackReader(part, 1), budget.bytes);
    // What could not be unpacked has used up the budget, or a packet of such parts would cost most.
    budget.bytes = typeof inner === "string" ? 0 : budget.bytes - inner.length;
    if (typeof inner === "string") received.refused.push(inner);
    else readPart(inner, depth + 1, reading);
  }
}

/** The parts that are there in full; memberlist keeps them as well. */
function splitCompound(bytes: Uint8Array, refused: Refusal[]): Uint8Array[] {
  const count = bytes[1] ?? 0;
  let at = COMPOUND_HEADER_BYTES + count * COMPOUND_PART_BYTES;
  const parts: Uint8Array[] = [];
  for (let i = 0; i < count && at <= bytes.length; i++) {
    const header = COMPOUND_HEADER_BYTES + i * COMPOUND_PART_BYTES;
    const length = (bytes[header] ?? 0) * 256 + (bytes[header + 1] ?? 0);
    if (length > bytes.length - at) break;
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  if (parts.length < count || bytes.length < COMPOUND_HEADER_BYTES) refused.push("truncated");
  return parts;
}
