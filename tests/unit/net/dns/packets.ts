import {
  decode,
  encode,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
  type Answer,
  type DecodedPacket,
  type Packet,
  type RecordType,
} from "dns-packet";
import { readQuery, type Query } from "../../../../src/net/dns/query.ts";

export interface Asking {
  type?: RecordType;
  id?: number;
  /** With EDNS, and room for so many bytes. */
  udpBytes?: number;
}

/** A question as programs send it, written by the library. */
export function aQuestion(name: string, { type = "A", id = 7, udpBytes }: Asking = {}): Buffer {
  return encode({
    type: "query",
    id,
    flags: RECURSION_DESIRED,
    questions: [{ type, name }],
    ...(udpBytes === undefined ? {} : { additionals: [anOpt(udpBytes)] }),
  });
}

export function aQuery(name: string, asking: Asking = {}): Query {
  const incoming = readQuery(aQuestion(name, asking));
  if (incoming?.kind !== "query") throw new Error(`${name} makes no query`);
  return incoming.query;
}

export function anOpt(udpPayloadSize: number): Answer {
  const rest = { extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };
  return { type: "OPT", name: ".", udpPayloadSize, ...rest };
}

/** What another name server answers to a packet of ours, with changes. */
export function anAnswerTo(question: Buffer, over: Partial<Packet> = {}): Buffer {
  const { id, questions } = decode(question);
  return encode({ type: "response", id: id ?? 0, questions: questions ?? [], ...over });
}

export function isTruncated({ flags = 0 }: DecodedPacket): boolean {
  return (flags & TRUNCATED_RESPONSE) !== 0;
}

/** `NXDOMAIN`, or the addresses and names of an answer. */
export function answered(packet: Buffer | undefined): string {
  if (packet === undefined) return "no answer";
  const { rcode, answers = [] } = decode(packet) as DecodedPacket & { rcode: string };
  if (rcode !== "NOERROR") return rcode;
  return answers.map(dataOf).join(" ");
}

function dataOf(answer: Answer): string {
  return "data" in answer && typeof answer.data === "string" ? answer.data : answer.type;
}
