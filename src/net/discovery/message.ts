import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/*
 * Two kinds of datagram, both of 512 bytes, so that no answer is longer than what it answers:
 *
 *   query:   "orchd?1\n"  digest of the CA (52)  hint (8)   nonce (16)  zeros
 *   answer:  "orchd!1\n"  nonce (16)             proof (32)             addresses, zeros
 */
export const DATAGRAM_BYTES = 512;
const QUERY = Buffer.from("orchd?1\n");
const ANSWER = Buffer.from("orchd!1\n");
const DIGEST_BYTES = 52;
export const HINT_BYTES = 8;
export const NONCE_BYTES = 16;
const PROOF_BYTES = 32;
const ADDRESSES_AT = ANSWER.length + NONCE_BYTES + PROOF_BYTES;
const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]{2,39}\]):\d{1,5}$/;

/** A machine looks for its cluster. */
export interface Query {
  /** Which cluster: the digest of its CA, as tokens have it. */
  caDigest: string;
  /** Which of the keys that a cluster has proves the answer; see `hintOf`. */
  hint: Buffer;
  nonce: Buffer;
}

/** Says which key is meant without telling anything of it. */
export function hintOf(key: string): Buffer {
  return createHash("sha256").update("orchd discovery hint\n").update(key).digest().subarray(0, 8);
}

/** The key of nodes that have joined, made of one that encrypts their gossip. */
export function discoveryKeyOf(gossipKey: string): string {
  const key = Buffer.from(gossipKey, "base64");
  return createHmac("sha256", key).update("orchd discovery").digest("base64");
}

export function encodeQuery({ caDigest, hint, nonce }: Query): Buffer {
  return pad(Buffer.concat([QUERY, Buffer.from(caDigest), hint, nonce]));
}

/** Undefined for anything that is no query. */
export function decodeQuery(datagram: Buffer): Query | undefined {
  if (datagram.length !== DATAGRAM_BYTES || !startsWith(datagram, QUERY)) return undefined;
  const hintAt = QUERY.length + DIGEST_BYTES;
  const nonceAt = hintAt + HINT_BYTES;
  return {
    caDigest: datagram.toString("latin1", QUERY.length, hintAt),
    hint: datagram.subarray(hintAt, nonceAt),
    nonce: datagram.subarray(nonceAt, nonceAt + NONCE_BYTES),
  };
}

/** An answer with as many of the addresses as it has room for. */
export function encodeAnswer(nonce: Buffer, key: string, addresses: readonly string[]): Buffer {
  let text = "";
  for (const address of addresses) {
    if (ADDRESSES_AT + text.length + address.length + 1 > DATAGRAM_BYTES) break;
    text += `${address}\n`;
  }
  const body = Buffer.alloc(DATAGRAM_BYTES - ADDRESSES_AT);
  body.write(text, "latin1");
  return Buffer.concat([ANSWER, nonce, proofOf(nonce, key, body), body]);
}

/** The addresses, or undefined for what does not answer this question or lacks the proof. */
export function decodeAnswer(datagram: Buffer, nonce: Buffer, key: string): string[] | undefined {
  if (datagram.length !== DATAGRAM_BYTES || !startsWith(datagram, ANSWER)) return undefined;
  const proofAt = ANSWER.length + NONCE_BYTES;
  if (!datagram.subarray(ANSWER.length, proofAt).equals(nonce)) return undefined;
  const body = datagram.subarray(ADDRESSES_AT);
  if (!timingSafeEqual(datagram.subarray(proofAt, ADDRESSES_AT), proofOf(nonce, key, body))) {
    return undefined;
  }
  const lines = body.toString("latin1").replace(/\0+$/, "").split("\n");
  return lines.filter((line) => ADDRESS.test(line));
}

function proofOf(nonce: Buffer, key: string, body: Buffer): Buffer {
  return createHmac("sha256", key).update(ANSWER).update(nonce).update(body).digest();
}

function startsWith(datagram: Buffer, magic: Buffer): boolean {
  return datagram.subarray(0, magic.length).equals(magic);
}

function pad(packet: Buffer): Buffer {
  return Buffer.concat([packet, Buffer.alloc(DATAGRAM_BYTES - packet.length)]);
}
