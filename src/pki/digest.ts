import { createHash, timingSafeEqual, type KeyObject, type X509Certificate } from "node:crypto";
import { encodeBase32 } from "../lib/base32.ts";

const FINGERPRINT_LENGTH = 12;

/** What a join token says of its cluster: the SHA-256 of the CA's certificate. */
export function digestOfCertificate(certificate: X509Certificate): string {
  return digestOf(certificate.raw);
}

/** What is pinned on a node: the SHA-256 of its public key (SubjectPublicKeyInfo, DER). */
export function digestOfKey(publicKey: KeyObject): string {
  return digestOf(publicKey.export({ type: "spki", format: "der" }));
}

/** What the store keeps of a token's secret. A secret has 160 random bits: it needs no salt. */
export function digestOfSecret(secret: string): string {
  return digestOf(new TextEncoder().encode(secret));
}

/** What a gossip key in base 64 is called: 60 bits of its digest, which open nothing. */
export function fingerprintOfKey(key: string): string {
  return digestOf(Buffer.from(key, "base64")).slice(0, FINGERPRINT_LENGTH);
}

function digestOf(bytes: Uint8Array): string {
  return encodeBase32(createHash("sha256").update(bytes).digest());
}

/** Whether two digests are the same, in a time that does not tell how far they are. */
export function sameDigest(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
