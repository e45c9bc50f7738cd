import { decode } from "dns-packet";
import { CLASS_IN, FLAG, HEADER_BYTES, NAME_BYTES_MAX, RCODE, TYPE } from "./wire.ts";

/** What somebody asks. */
export interface Query {
  id: number;
  /** Those of its header. */
  flags: number;
  /** In lower case, without a dot at its end; a dot within a label is `\.`. */
  name: string;
  type: number;
  /** Name, type and class as they were sent: they go back as they came. */
  question: Buffer;
  /** Absent where the client knows nothing of EDNS. */
  edns?: { udpBytes: number; isDnssec: boolean };
}

export type Incoming =
  | { kind: "query"; query: Query }
  /** To be answered with this code, and the question if there was one. */
  | { kind: "refused"; rcode: number; id: number; flags: number; query?: Query };

/** Reads a packet from anybody; undefined for what must not be answered at all. */
export function readQuery(packet: Buffer): Incoming | undefined {
  if (packet.length < HEADER_BYTES) return undefined;
  const [id, flags] = [packet.readUInt16BE(0), packet.readUInt16BE(2)];
  // An answer to an answer would be answered in turn, for ever.
  if ((flags & FLAG.response) !== 0) return undefined;
  const refuse = (rcode: number, query?: Query): Incoming =>
    query === undefined
      ? { kind: "refused", rcode, id, flags }
      : { kind: "refused", rcode, id, flags, query };
  if ((flags & FLAG.opcode) !== 0) return refuse(RCODE.notImplemented);
  // More than one question is an error since RFC 9619.
  if (packet.readUInt16BE(4) !== 1) return refuse(RCODE.formatError);
  const named = readName(packet);
  if (named === undefined || named.end + 4 > packet.length) return refuse(RCODE.formatError);
  const end = named.end + 4;
  const type = packet.readUInt16BE(named.end);
  const isInternet = packet.readUInt16BE(named.end + 2) === CLASS_IN;
  const question = packet.subarray(HEADER_BYTES, end);
  const query: Query = { id, flags, name: named.text, type, question };
  const edns = readEdns(packet, end);
  if (edns === "broken") return refuse(RCODE.formatError, query);
  if (edns !== undefined) {
    query.edns = edns;
    if (edns.version > 0) return refuse(RCODE.badVersion, query);
  }
  if (!isInternet || type === TYPE.transfer || type === TYPE.transferOfChanges) {
    return refuse(RCODE.refused, query);
  }
  return type === TYPE.opt ? refuse(RCODE.formatError, query) : { kind: "query", query };
}

/**
 * The name of a question. It is the first one of its packet, so there is nothing that it could be
 * short for (RFC 1035, section 4.1.4).
 */
function readName(packet: Buffer): { text: string; end: number } | undefined {
  let text = "";
  let at = HEADER_BYTES;
  for (;;) {
    const length = packet[at];
    if (length === undefined || length > 63) return undefined;
    const next = at + 1 + length;
    if (next - HEADER_BYTES > NAME_BYTES_MAX) return undefined;
    if (length === 0) return { text, end: next };
    if (next >= packet.length) return undefined;
    if (text !== "") text += ".";
    for (let i = at + 1; i < next; i++) text += characterOf(packet[i] ?? 0);
    at = next;
  }
}

/** One byte of a label in lower case, written so that no two names read the same. */
function characterOf(byte: number): string {
  if (byte >= 0x41 && byte <= 0x5a) return String.fromCharCode(byte + 0x20);
  if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  return String.fromCharCode(byte);
}

type Edns = { udpBytes: number; isDnssec: boolean; version: number };

/** What stands behind the question: nothing, or one OPT record; the library reads all the rest. */
function readEdns(packet: Buffer, end: number): Edns | undefined | "broken" {
  const answers = packet.readUInt16BE(6) + packet.readUInt16BE(8);
  const additionals = packet.readUInt16BE(10);
  if (answers === 0 && additionals === 0) return undefined;
  const isPlain = packet[end] === 0 && packet.length >= end + 11;
  if (answers === 0 && additionals === 1 && isPlain && packet.readUInt16BE(end + 1) === TYPE.opt) {
    if (end + 11 + packet.readUInt16BE(end + 9) > packet.length) return "broken";
    return {
      udpBytes: packet.readUInt16BE(end + 3),
      isDnssec: (packet[end + 7] ?? 0) >= 0x80,
      version: packet[end + 6] ?? 0,
    };
  }
  return readEdnsAnywhere(packet);
}

function readEdnsAnywhere(packet: Buffer): Edns | undefined | "broken" {
  try {
    const { additionals = [] } = decode(packet);
    const found = additionals.flatMap((record) => (record.type === "OPT" ? [record] : []));
    const [first, ...more] = found;
    if (more.length > 0) return "broken";
    if (first === undefined) return undefined;
    const { udpPayloadSize, flag_do: isDnssec, ednsVersion } = first;
    return { udpBytes: udpPayloadSize, isDnssec, version: ednsVersion };
  } catch {
    // Cut short, or with counts that are not true.
    return "broken";
  }
}
