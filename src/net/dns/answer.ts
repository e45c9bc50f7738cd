import { encode, type Answer, type Packet } from "dns-packet";
import { bytesOfHost } from "../../lib/ip.ts";
import {
  ZONE_TTL_S,
  type AddressRecord,
  type Host,
  type ZoneRecord,
} from "../../core/network/zone.ts";
import type { Incoming, Query } from "./query.ts";
import { FLAG, HEADER_BYTES, optRecord, PLAIN_UDP_BYTES, UDP_BYTES_MAX } from "./wire.ts";

const NOTHING = Buffer.alloc(0);
const NO_RECORDS = { count: 0, bytes: NOTHING };
const KEPT_FLAGS = FLAG.opcode | FLAG.recursionDesired | FLAG.checkingDisabled;

/** The name of the question, wherever it is written again: a pointer to it. */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;
/** Pointer, type, class, TTL and length, behind which an address is. */
const RECORD_HEAD_BYTES = 12;
/** Of each type its number, and the bytes of an address. */
const ADDRESS = { A: { number: 1, bytes: 4 }, AAAA: { number: 28, bytes: 16 } } as const;

/** How much of an answer a client takes in one datagram. */
export function udpLimitOf({ edns }: Query): number {
  if (edns === undefined) return PLAIN_UDP_BYTES;
  return Math.min(Math.max(edns.udpBytes, PLAIN_UDP_BYTES), UDP_BYTES_MAX);
}

/** Flags of an answer to a query with these. */
export function answerFlags(asked: number, more: number): number {
  return FLAG.response | FLAG.recursionAvailable | (asked & KEPT_FLAGS) | more;
}

/** An answer without records. */
export function encodeEmpty(query: Query, rcode: number, flags = 0): Buffer {
  return assemble(query, flags | (rcode & FLAG.rcode), NO_RECORDS, rcode >> 4);
}

/** What is said to a packet that can't be answered otherwise. */
export function encodeRefusal({ rcode, id, flags, query }: Incoming & { kind: "refused" }): Buffer {
  if (query !== undefined) return encodeEmpty(query, rcode);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(answerFlags(flags, rcode), 2);
  return header;
}

/** What a name of ours has; as much of it as fits, and marked where that is not all. */
export function encodeFound(
  query: Query,
  found: { records: readonly ZoneRecord[]; hosts?: readonly Host[] },
  limit: number,
): Buffer {
  const { records, hosts = [] } = found;
  const addresses = records.flatMap((record) => ("address" in record ? [record] : []));
  if (addresses.length === records.length) return encodeAddresses(query, addresses, limit);
  const whole = encodeRecords(query, records, hosts);
  if (whole.length <= limit) return whole;
  for (let count = records.length; ; count = Math.floor(count / 2)) {
    // The addresses are a help that can be asked for as well; records that are missing are not.
    const cut = encodeRecords(query, records.slice(0, count), [], count < records.length);
    if (cut.length <= limit || count === 0) return cut;
  }
}

/** The usual answer, without the library's detours: see `npm run bench -- dns`. */
function encodeAddresses(query: Query, all: readonly AddressRecord[], limit: number): Buffer {
  const room = limit - HEADER_BYTES - query.question.length - (query.edns === undefined ? 0 : 11);
  let count = 0;
  let length = 0;
  for (const { type } of all) {
    const next = length + RECORD_HEAD_BYTES + ADDRESS[type].bytes;
    if (next > room) break;
    length = next;
    count++;
  }
  const records = Buffer.alloc(length);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const { type = "A", address = "" } = all[i] ?? {};
    const { number, bytes } = ADDRESS[type];
    at = records.writeUInt16BE(QUESTION_NAME, at);
    at = records.writeUInt16BE(number, at);
    at = records.writeUInt16BE(1, at);
    at = records.writeUInt32BE(ZONE_TTL_S, at);
    at = records.writeUInt16BE(bytes, at);
    if (type === "A") for (const octet of address.split(".")) records[at++] = Number(octet);
    else for (const byte of bytesOfHost(address) ?? []) records[at++] = byte;
  }
  const isCut = count < all.length;
  const flags = FLAG.authoritative | (isCut ? FLAG.truncated : 0);
  return assemble(query, flags, { count, bytes: records }, 0);
}

/** Header, question, answers, and an OPT record for those who sent one. */
function assemble(
  { id, flags: asked, question, edns }: Query,
  flags: number,
  { count, bytes: records }: { count: number; bytes: Buffer },
  extendedRcode: number,
): Buffer {
  const opt = edns === undefined ? NOTHING : optRecord(edns.isDnssec, extendedRcode);
  const packet = Buffer.alloc(HEADER_BYTES + question.length + records.length + opt.length);
  packet.writeUInt16BE(id, 0);
  packet.writeUInt16BE(answerFlags(asked, flags), 2);
  packet.writeUInt16BE(1, 4);
  packet.writeUInt16BE(count, 6);
  packet.writeUInt16BE(edns === undefined ? 0 : 1, 10);
  packet.set(question, HEADER_BYTES);
  packet.set(records, HEADER_BYTES + question.length);
  packet.set(opt, packet.length - opt.length);
  return packet;
}

function encodeRecords(
  { id, flags, name, question, edns }: Query,
  records: readonly ZoneRecord[],
  hosts: readonly Host[],
  isCut = false,
): Buffer {
  const additionals: Answer[] = hosts.map(({ name: host, address }) => {
    const type = address.includes(":") ? "AAAA" : "A";
    return { type, name: host, ttl: ZONE_TTL_S, data: address };
  });
  if (edns !== undefined) {
    additionals.push({
      type: "OPT",
      name: ".",
      udpPayloadSize: UDP_BYTES_MAX,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    });
  }
  const packet: Packet = {
    type: "response",
    id,
    flags: answerFlags(flags, FLAG.authoritative | (isCut ? FLAG.truncated : 0)),
    // Its type is put right below, with the case of its letters.
    questions: [{ type: "A", name }],
    answers: records.map((record) => answerOf(record, name)),
    additionals,
  };
  const bytes = encode(packet);
  bytes.set(question, HEADER_BYTES);
  return bytes;
}

function answerOf(record: ZoneRecord, name: string): Answer {
  const ttl = ZONE_TTL_S;
  if ("address" in record) return { type: record.type, name, ttl, data: record.address };
  if (record.type === "PTR") return { type: "PTR", name, ttl, data: record.target };
  const { target, port } = record;
  return { type: "SRV", name, ttl, data: { target, port, priority: 0, weight: 0 } };
}
