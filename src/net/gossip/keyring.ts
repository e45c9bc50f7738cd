import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Cipher } from "../../core/gossip/wire/encryption.ts";
import { OrchdError } from "../../lib/errors.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHMS = { 16: "aes-128-gcm", 24: "aes-192-gcm", 32: "aes-256-gcm" } as const;

interface Key {
  bytes: Uint8Array;
  secret: KeyObject;
  algorithm: (typeof ALGORITHMS)[keyof typeof ALGORITHMS];
}

/**
 * The keys of the cluster's gossip. The primary one encrypts; all decrypt. To rotate, every member
 * adds the new key, then every member uses it, then every member removes the old one.
 */
export class Keyring implements Cipher {
  private keys: readonly [Key, ...Key[]];

  /** @param primary 16, 24 or 32 bytes, for AES-128, 192 or 256 */
  constructor(primary: Uint8Array, others: readonly Uint8Array[] = []) {
    this.keys = [keyOf(primary)];
    for (const other of others) this.add(other);
  }

  /** Every key, the primary one first. */
  list(): Uint8Array[] {
    return this.keys.map((key) => key.bytes);
  }

  /** From now on what this key encrypted is understood. */
  add(bytes: Uint8Array): void {
    if (this.find(bytes) === undefined) this.keys = [...this.keys, keyOf(bytes)];
  }

  /** From now on this key encrypts; every other member must have it by then. */
  use(bytes: Uint8Array): void {
    const key = this.find(bytes);
    if (key === undefined) {
      throw new OrchdError("invalid", "This gossip key is not in the keyring: add it first.");
    }
    this.keys = [key, ...this.keys.filter((other) => other !== key)];
  }

  /** From now on nothing that this key encrypted is understood. */
  remove(bytes: Uint8Array): void {
    const key = this.find(bytes);
    const [primary, ...others] = this.keys;
    if (key === primary) {
      throw new OrchdError("invalid", "This gossip key is in use: use another one first.");
    }
    this.keys = [primary, ...others.filter((other) => other !== key)];
  }

  seal(plain: Uint8Array, additionalData: Uint8Array): Uint8Array {
    const [{ algorithm, secret }] = this.keys;
    const nonce = randomBytes(NONCE_BYTES);
    const gcm = createCipheriv(algorithm, secret, nonce);
    gcm.setAAD(additionalData);
    return Buffer.concat([nonce, gcm.update(plain), gcm.final(), gcm.getAuthTag()]);
  }

  open(sealed: Uint8Array, additionalData: Uint8Array): Uint8Array | undefined {
    for (const key of this.keys) {
      const plain = openWith(key, sealed, additionalData);
      if (plain !== undefined) return plain;
    }
    return undefined;
  }

  private find(bytes: Uint8Array): Key | undefined {
    return this.keys.find((key) => Buffer.compare(key.bytes, bytes) === 0);
  }
}

function keyOf(bytes: Uint8Array): Key {
  const { length } = bytes;
  if (length !== 16 && length !== 24 && length !== 32) {
    throw new OrchdError("invalid", `A gossip key has 16, 24 or 32 bytes, not ${length}.`);
  }
  return { bytes: bytes.slice(), secret: createSecretKey(bytes), algorithm: ALGORITHMS[length] };
}

function openWith(key: Key, sealed: Uint8Array, data: Uint8Array): Uint8Array | undefined {
  const end = sealed.length - TAG_BYTES;
  if (end < NONCE_BYTES) return undefined;
  const gcm = createDecipheriv(key.algorithm, key.secret, sealed.subarray(0, NONCE_BYTES));
  gcm.setAAD(data);
  gcm.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([gcm.update(sealed.subarray(NONCE_BYTES, end)), gcm.final()]);
  } catch {
    // The tag does not fit: another key, or bytes that nobody encrypted.
    return undefined;
  }
}
