import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Cipher } from "../../../../../src/core/gossip/wire/encryption.ts";

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** 0, 7, 14 … from 3 on: what the vectors use where a value is long. */
export function stretch(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + 3) & 0xff);
}

/** One key, and nonces that count: enough to see the framing. */
export function testCipher(key: string): Cipher {
  const algorithm = key.length === 16 ? "aes-128-gcm" : "aes-256-gcm";
  let count = 0;
  return {
    seal(plain, data) {
      const nonce = Buffer.alloc(12);
      nonce.writeUInt32BE(count++);
      const gcm = createCipheriv(algorithm, key, nonce).setAAD(data);
      return Buffer.concat([nonce, gcm.update(plain), gcm.final(), gcm.getAuthTag()]);
    },
    open(sealed, data) {
      const gcm = createDecipheriv(algorithm, key, sealed.subarray(0, 12));
      gcm.setAAD(data).setAuthTag(sealed.subarray(-16));
      try {
        return Buffer.concat([gcm.update(sealed.subarray(12, -16)), gcm.final()]);
      } catch {
        // Another key: node:crypto has no other way to say it.
        return undefined;
      }
    },
  };
}
