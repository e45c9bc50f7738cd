import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { encodeBase32 } from "../lib/base32.ts";
import { OrchdError } from "../lib/errors.ts";
import { digestOfKey } from "./digest.ts";
import { derivedKey, KEY_BYTES, keyFromNodeKey, open, seal } from "./seal.ts";

/*
 * Sealing for somebody whose public key is known: X25519 (RFC 7748) with a key of its own for each
 * content, HKDF, AES-256-GCM. The private half follows from the key of the cluster's authority, so
 * that it needs no keeping, and comes back with a backup.
 */
const PREFIX = "orchd-seal-1.";
/** How PKCS 8 and SubjectPublicKeyInfo wrap a key of X25519 (RFC 8410). */
const PRIVATE_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");
const PUBLIC_HEAD = Buffer.from("302a300506032b656e032100", "hex");
const CHECK_LENGTH = 6;

/** A cluster's sealing key: a line that people copy, `orchd-seal-1.KEY.CHECK`. */
export function sealingKeyOf(caKeyPem: string): string {
  const raw = rawOf(createPublicKey(privateKeyFrom(caKeyPem)));
  return `${PREFIX}${raw.toString("base64url")}.${checkOf(raw)}`;
}

/** What a sealing key is called. @throws OrchdError `invalid` */
export function nameOfSealingKey(text: string): string {
  return digestOfKey(sealingKeyIn(text));
}

/**
 * Seals a content for the cluster with this key, for one purpose.
 * @returns base 64 of the passing key, and what `pki/seal.ts` makes
 * @throws OrchdError `invalid` when it is no sealing key
 */
export function sealFor(text: string, purpose: string, plain: Uint8Array): string {
  const theirs = sealingKeyIn(text);
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const ours = rawOf(publicKey);
  const key = sharedKey({ privateKey, publicKey: theirs }, [ours, rawOf(theirs)]);
  return `${ours.toString("base64")}.${seal(key, purpose, plain)}`;
}

/** What was sealed for this cluster; undefined when it was for another one, or was altered. */
export function openSealed(
  caKeyPem: string,
  purpose: string,
  sealed: string,
): Uint8Array | undefined {
  const [head = "", body = "", ...more] = sealed.split(".");
  const raw = Buffer.from(head, "base64");
  if (raw.length !== KEY_BYTES || more.length > 0) return undefined;
  const privateKey = privateKeyFrom(caKeyPem);
  const own = rawOf(createPublicKey(privateKey));
  let key: Uint8Array;
  try {
    key = sharedKey({ privateKey, publicKey: publicKeyFrom(raw) }, [raw, own]);
  } catch {
    // A key of small order: nobody who seals honestly makes one.
    return undefined;
  }
  return open(key, purpose, body);
}

/** Both public keys are a part of what the key is derived from. */
function sharedKey(
  halves: { privateKey: KeyObject; publicKey: KeyObject },
  [passing, target]: [Buffer, Buffer],
): Uint8Array {
  const names = `${passing.toString("hex")} ${target.toString("hex")}`;
  return derivedKey(new Uint8Array(diffieHellman(halves)), `orchd bundle contents ${names}`);
}

function privateKeyFrom(caKeyPem: string): KeyObject {
  const raw = keyFromNodeKey(caKeyPem, "orchd bundle sealing key");
  const key = Buffer.concat([PRIVATE_HEAD, raw]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

function publicKeyFrom(raw: Uint8Array): KeyObject {
  const key = Buffer.concat([PUBLIC_HEAD, raw]);
  return createPublicKey({ key, format: "der", type: "spki" });
}

function rawOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: "spki", format: "der" }).subarray(PUBLIC_HEAD.length);
}

function sealingKeyIn(text: string): KeyObject {
  const [, key = "", check] = /^orchd-seal-1\.([\w-]{43})\.([0-9a-z]{6})$/.exec(text.trim()) ?? [];
  const raw = Buffer.from(key, "base64url");
  if (raw.length === KEY_BYTES && check === checkOf(raw)) return publicKeyFrom(raw);
  const where = "`orchd bundle key` prints it at the target";
  throw new OrchdError("invalid", `this is no sealing key, or a character is wrong: ${where}`);
}

/** Tells a slip of the hand; it proves nothing. */
function checkOf(raw: Uint8Array): string {
  const hasher = new Bun.CryptoHasher("sha256");
  return encodeBase32(hasher.update(raw).digest()).slice(0, CHECK_LENGTH);
}
