import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  hkdfSync,
  randomBytes,
  scrypt,
} from "node:crypto";
import { encodeBase32 } from "../lib/base32.ts";

/*
 * AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits: with one key up to 2^32 messages,
 * far more than a vault ever seals. What is sealed is the nonce, the ciphertext and the tag.
 */
const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** What of scrypt makes a guess of a passphrase dear: 32 MiB and a tenth of a second each. */
export const SCRYPT = { cost: 2 ** 15, blockSize: 8, parallelization: 1 } as const;

export interface ScryptOptions {
  cost: number;
  blockSize: number;
  parallelization: number;
}

export function newSealKey(): Uint8Array {
  return new Uint8Array(randomBytes(KEY_BYTES));
}

/** Base 64, for `keyFromPassphrase`. */
export function newSalt(): string {
  return randomBytes(SALT_BYTES).toString("base64");
}

/**
 * Seals bytes for one purpose: `open` gives them back for the same key and purpose alone.
 * @returns base 64
 */
export function seal(key: Uint8Array, purpose: string, plain: Uint8Array): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(Buffer.from(purpose, "utf8"));
  const body = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return body.toString("base64");
}

/** What was sealed; undefined for another key or purpose, or when a single bit was altered. */
export function open(key: Uint8Array, purpose: string, sealed: string): Uint8Array | undefined {
  const body = Buffer.from(sealed, "base64");
  if (body.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv(CIPHER, key, body.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(purpose, "utf8"));
  decipher.setAuthTag(body.subarray(body.length - TAG_BYTES));
  try {
    const first = decipher.update(body.subarray(NONCE_BYTES, body.length - TAG_BYTES));
    return new Uint8Array(Buffer.concat([first, decipher.final()]));
  } catch {
    // The tag does not fit: whose fault that is can't be told apart.
    return undefined;
  }
}

/** A key for one purpose from another key (HKDF with SHA-256, RFC 5869). */
export function derivedKey(from: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", from, new Uint8Array(), purpose, KEY_BYTES));
}

/** A key for one purpose from a node's private key (PEM, PKCS 8). */
export function keyFromNodeKey(keyPem: string, purpose: string): Uint8Array {
  const der = createPrivateKey(keyPem).export({ type: "pkcs8", format: "der" });
  return derivedKey(new Uint8Array(der), purpose);
}

/** A key from what a person knows (scrypt, RFC 7914). @param salt base 64 */
export function keyFromPassphrase(
  passphrase: string,
  salt: string,
  { cost, blockSize, parallelization }: ScryptOptions,
): Promise<Uint8Array> {
  const options = {
    cost,
    blockSize,
    parallelization,
    maxmem: 2 * 128 * cost * blockSize * parallelization,
  };
  const bytes = Buffer.from(passphrase.normalize("NFC"), "utf8");
  return new Promise((resolve, reject) => {
    scrypt(bytes, Buffer.from(salt, "base64"), KEY_BYTES, options, (error, key) => {
      // Bun says undefined where Node says null.
      if (error instanceof Error) reject(error);
      else resolve(new Uint8Array(key));
    });
  });
}

/** A digest in base 32 that tells nothing of the bytes to whoever lacks the key. */
export function keyedDigest(key: Uint8Array, bytes: Uint8Array): string {
  return encodeBase32(createHmac("sha256", key).update(bytes).digest());
}
