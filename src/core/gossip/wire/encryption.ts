/**
 * AES-GCM with the keys of the cluster. It lives outside of the core, which has neither keys nor
 * random numbers for nonces.
 */
export interface Cipher {
  /** @returns nonce (12 bytes), ciphertext and tag (16 bytes), under the primary key */
  seal(plain: Uint8Array, additionalData: Uint8Array): Uint8Array;
  /** Tries every key, the primary one first. @returns undefined when none opens it */
  open(sealed: Uint8Array, additionalData: Uint8Array): Uint8Array | undefined;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Version byte, nonce and tag. */
export const ENCRYPTION_OVERHEAD = 1 + NONCE_BYTES + TAG_BYTES;
/** Protocol version 1 padded what it encrypted; every later one does not. */
const PADDED = 0;
const UNPADDED = 1;
const BLOCK_BYTES = 16;

/** memberlist's framing (security.go): a version byte, then what the cipher gives. */
export function encrypt(cipher: Cipher, plain: Uint8Array, data: Uint8Array): Uint8Array {
  const sealed = cipher.seal(plain, data);
  const framed = new Uint8Array(1 + sealed.length);
  framed[0] = UNPADDED;
  framed.set(sealed, 1);
  return framed;
}

export function decrypt(
  cipher: Cipher,
  framed: Uint8Array,
  data: Uint8Array,
): Uint8Array | "undecryptable" {
  const version = framed[0];
  if (version !== PADDED && version !== UNPADDED) return "undecryptable";
  if (framed.length < ENCRYPTION_OVERHEAD) return "undecryptable";
  const plain = cipher.open(framed.subarray(1), data);
  if (plain === undefined) return "undecryptable";
  return version === PADDED ? withoutPadding(plain) : plain;
}

/** PKCS #7: the last byte says how many of its kind there are. */
function withoutPadding(plain: Uint8Array): Uint8Array | "undecryptable" {
  const count = plain.at(-1) ?? 0;
  const start = plain.length - count;
  if (count < 1 || count > BLOCK_BYTES || start < 0) return "undecryptable";
  return plain.subarray(start).every((byte) => byte === count)
    ? plain.subarray(0, start)
    : "undecryptable";
}
