import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { OrchdError } from "../lib/errors.ts";
import { digestOfKey } from "./digest.ts";

/** What a signature is good for: none of a certificate or of something else is taken for one. */
const PURPOSE = new TextEncoder().encode("orchd bundle, format 1\n");
const KEY_TEXT_MAX = 8192;

/**
 * Signs a bundle's own description: Ed25519 (RFC 8032), or ECDSA P-256 with SHA-256 for the key of
 * a cluster's authority.
 * @param keyPem PKCS 8
 * @returns base 64
 * @throws OrchdError `invalid` for another kind of key
 */
export function signBundle(keyPem: string, text: Uint8Array): string {
  const key = privateKeyIn(keyPem);
  return sign(hashFor(key), Buffer.concat([PURPOSE, text]), key).toString("base64");
}

/**
 * The name of the key that has signed the text; undefined when the signature does not fit, or what
 * stands beside it is no key. Whether it is a key to trust is another question.
 */
export function signerOf(
  { publicKey, signature }: { publicKey: string; signature: string },
  text: Uint8Array,
): string | undefined {
  let key: KeyObject;
  try {
    key = publicKeyIn(publicKey);
  } catch {
    // Somebody altered it, or wrote down what is none.
    return undefined;
  }
  const bytes = Buffer.from(signature, "base64");
  // In one form alone: what has another one was altered, though it may mean the same.
  const isPlain = bytes.toString("base64") === signature && pemOf(key) === publicKey;
  const fits = isPlain && verify(hashFor(key), Buffer.concat([PURPOSE, text]), key, bytes);
  return fits ? digestOfKey(key) : undefined;
}

/** The public half of a key of ours, PEM. @throws OrchdError `invalid` */
export function publicPemOf(keyPem: string): string {
  return pemOf(createPublicKey(privateKeyIn(keyPem)));
}

function pemOf(publicKey: KeyObject): string {
  return publicKey.export({ type: "spki", format: "pem" }).toString();
}

/** What a public key is called: its digest. @throws OrchdError `invalid` */
export function nameOfKey(publicKeyPem: string): string {
  return digestOfKey(publicKeyIn(publicKeyPem));
}

function privateKeyIn(pem: string): KeyObject {
  return keyIn("key to sign with", pem, () => createPrivateKey(pem));
}

function publicKeyIn(pem: string): KeyObject {
  return keyIn("key to check with", pem, () => {
    // A certificate or a private key would be taken as well, and is a mistake.
    if (!pem.trimStart().startsWith("-----BEGIN PUBLIC KEY-----")) throw new Error("no public key");
    return createPublicKey(pem);
  });
}

function keyIn(what: string, pem: string, read: () => KeyObject): KeyObject {
  const kinds = "an Ed25519 key as PEM, such as openssl genpkey -algorithm ed25519 makes";
  let key: KeyObject;
  try {
    if (pem.length > KEY_TEXT_MAX) throw new Error("too long");
    key = read();
  } catch (cause) {
    throw new OrchdError("invalid", `the ${what} makes no sense: give ${kinds}`, { cause });
  }
  if (hashOf(key) !== undefined) return key;
  throw new OrchdError("invalid", `the ${what} is of another kind: give ${kinds}`);
}

function hashFor(key: KeyObject): string | null {
  return hashOf(key)?.hash ?? null;
}

/** With what a key of this kind signs; undefined for a kind that is not taken. */
function hashOf(key: KeyObject): { hash: string | null } | undefined {
  if (key.asymmetricKeyType === "ed25519") return { hash: null };
  const isP256 =
    key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  return isP256 ? { hash: "sha256" } : undefined;
}
