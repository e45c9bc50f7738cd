import { answerFlags } from "./answer.ts";
import type { Query } from "./query.ts";
import { FLAG, HEADER_BYTES, optRecord, RCODE, TYPE } from "./wire.ts";

/*
 * Answers of other name servers are passed on as the bytes that they are. Written anew by a
 * library they would lose what shortens names, and so their place in a datagram, and labels that
 * are no text.
 */

/** Somebody else's answer, read as far as it is needed to pass it on. */
export interface Reply {
  /** Without an OPT record, which is between two neighbours. */
  bytes: Buffer;
  rcode: number;
  isTruncated: boolean;
  questionEnd: number;
  /** Behind each record of the answer section. */
  answerEnds: readonly number[];
  /** Where each record has its TTL. */
  ttlsAt: readonly number[];
  /** For how many seconds it is true; 0 when it does not say so. */
  ttlS: number;
}

/** Nobody waits longer for the truth, whatever its owner says. */
const TTL_MAX_S = 3600;
/** That something is not there changes sooner than what is there (RFC 2308, section 5). */
const NEGATIVE_TTL_MAX_S = 300;

/** One more record of a message. */
interface RecordAt {
  type: number;
  ttlAt: number;
  dataAt: number;
  end: number;
}

/**
 * Reads an answer to a question; undefined when it is none, or broken.
 * @param id that of the query which it should answer
 */
export function readReply(packet: Buffer, id: number, question: Buffer): Reply | undefined {
  const questionEnd = HEADER_BYTES + question.length;
  if (packet.length < questionEnd || packet.readUInt16BE(0) !== id) return undefined;
  const flags = packet.readUInt16BE(2);
  if ((flags & FLAG.response) === 0 || (flags & FLAG.opcode) !== 0) return undefined;
  if (packet.readUInt16BE(4) !== 1) return undefined;
  if (!isSameQuestion(packet.subarray(HEADER_BYTES, questionEnd), question)) return undefined;
  const [answers, authorities] = [packet.readUInt16BE(6), packet.readUInt16BE(8)];
  const additionals = packet.readUInt16BE(10);
  const counted = answers + authorities;
  const records: RecordAt[] = [];
  let end = questionEnd;
  for (let i = 0; i < counted + additionals; i++) {
    const record = readRecord(packet, end);
    if (record === undefined) return undefined;
    // It is the last one in practice; what came behind it would only be a hint.
    if (record.type === TYPE.opt) {
      if (i < counted || (packet[record.ttlAt] ?? 0) !== 0) return undefined;
      break;
    }
    records.push(record);
    end = record.end;
  }
  const bytes = Buffer.from(packet.subarray(0, end));
  bytes.writeUInt16BE(records.length - counted, 10);
  return {
    bytes,
    rcode: flags & FLAG.rcode,
    isTruncated: (flags & FLAG.truncated) !== 0,
    questionEnd,
    answerEnds: records.slice(0, answers).map((record) => record.end),
    ttlsAt: records.map((record) => record.ttlAt),
    ttlS: lifetimeOf(packet, flags & FLAG.rcode, {
      answers: records.slice(0, answers),
      authorities: records.slice(answers, counted),
    }),
  };
}

/**
 * The answer as it goes to one who asked the same.
 * @param ageS for how long it has been kept
 * @param limit in bytes; what has no room is left out, and the answer marked
 */
export function fitReply(reply: Reply, query: Query, ageS: number, limit: number): Buffer {
  const { bytes, answerEnds, questionEnd } = reply;
  const opt = query.edns === undefined ? undefined : optRecord(query.edns.isDnssec);
  const room = limit - (opt?.length ?? 0);
  const isCut = bytes.length > room;
  const fitting = isCut ? answerEnds.filter((end) => end <= room) : answerEnds;
  const end = isCut ? (fitting.at(-1) ?? questionEnd) : bytes.length;
  const packet = Buffer.alloc(end + (opt?.length ?? 0));
  packet.set(bytes.subarray(0, end));
  packet.writeUInt16BE(query.id, 0);
  const more = reply.rcode | (isCut || reply.isTruncated ? FLAG.truncated : 0);
  packet.writeUInt16BE(answerFlags(query.flags, more), 2);
  packet.set(query.question, HEADER_BYTES);
  if (isCut) {
    packet.writeUInt16BE(fitting.length, 6);
    packet.writeUInt32BE(0, 8);
  }
  for (const at of reply.ttlsAt) {
    if (at < end) packet.writeUInt32BE(Math.max(0, ttlAt(packet, at) - ageS), at);
  }
  if (opt !== undefined) {
    packet.writeUInt16BE(packet.readUInt16BE(10) + 1, 10);
    packet.set(opt, end);
  }
  return packet;
}

/** Names are the same whatever the case of their letters. */
function isSameQuestion(found: Buffer, asked: Buffer): boolean {
  return found.every((byte, i) => {
    const other = asked[i] ?? 0;
    return byte === other || (isLetter(byte) && (byte | 0x20) === (other | 0x20));
  });
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

function readRecord(packet: Buffer, at: number): RecordAt | undefined {
  const fixed = skipName(packet, at);
  if (fixed === undefined || fixed + 10 > packet.length) return undefined;
  const dataAt = fixed + 10;
  const end = dataAt + packet.readUInt16BE(fixed + 8);
  if (end > packet.length) return undefined;
  return { type: packet.readUInt16BE(fixed), ttlAt: fixed + 4, dataAt, end };
}

/** A name may end with a pointer, which leads backwards: who follows it goes in no circle. */
function skipName(packet: Buffer, start: number): number | undefined {
  for (let at = start; at - start <= 255;) {
    const length = packet[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) {
      const target = ((length & 0x3f) << 8) | (packet[at + 1] ?? 0xff);
      return target < start && at + 2 <= packet.length ? at + 2 : undefined;
    }
    if (length > 63) return undefined;
    at += 1 + length;
  }
  return undefined;
}

function lifetimeOf(
  packet: Buffer,
  rcode: number,
  { answers, authorities }: { answers: readonly RecordAt[]; authorities: readonly RecordAt[] },
): number {
  if (rcode !== RCODE.ok && rcode !== RCODE.noSuchName) return 0;
  const ttls = answers.map((record) => ttlAt(packet, record.ttlAt));
  const soa = authorities.find(({ type }) => type === TYPE.soa);
  if (soa !== undefined && soa.end - soa.dataAt >= 22) {
    // Its last field is how long a name is known not to be there (RFC 2308, section 4).
    ttls.push(ttlAt(packet, soa.ttlAt), ttlAt(packet, soa.end - 4), NEGATIVE_TTL_MAX_S);
  }
  return ttls.length === 0 ? 0 : Math.min(...ttls, TTL_MAX_S);
}

/** One with its highest bit set counts as 0 (RFC 2181, section 8). */
function ttlAt(packet: Buffer, at: number): number {
  const ttl = packet.readUInt32BE(at);
  return ttl > 0x7fff_ffff ? 0 : ttl;
}
