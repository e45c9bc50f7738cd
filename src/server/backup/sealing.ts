import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { OrchdError } from "../../lib/errors.ts";
import type { Seal } from "./manifest.ts";

/**
 * A stream under a passphrase: chunks of AES-256-GCM, each with its number and whether it is the
 * last one in its nonce, so that none can be left out, moved or cut off. The key is of the
 * passphrase and a salt of its own, and so no nonce comes twice.
 */
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const CHUNK_BYTES = 64 * 1024;
/** 32 MiB and about a tenth of a second, for whoever tries passphrases as well. */
const COST = { n: 32_768, r: 8, p: 1 };
export const PASSPHRASE_MIN = 8;

export function newSeal(): Seal {
  const salt = randomBytes(SALT_BYTES).toString("base64");
  return { kdf: "scrypt", ...COST, salt, cipher: "aes-256-gcm", chunkBytes: CHUNK_BYTES };
}

/** What so many bytes are when they are sealed. */
export function sealedBytes(plainBytes: number, { chunkBytes }: Seal): number {
  return plainBytes + TAG_BYTES * Math.max(1, Math.ceil(plainBytes / chunkBytes));
}

export async function* sealStream(
  source: AsyncIterable<Uint8Array>,
  passphrase: string,
  seal: Seal,
): AsyncGenerator<Uint8Array> {
  const key = await keyOf(passphrase, seal);
  let index = 0;
  for await (const { bytes, isLast } of chunksOf(source, seal.chunkBytes)) {
    const cipher = createCipheriv("aes-256-gcm", key, nonceOf(index++, isLast));
    cipher.setAAD(associatedWith(seal));
    yield Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  }
}

/** @throws OrchdError `forbidden` when the passphrase is another one */
export async function* openStream(
  source: AsyncIterable<Uint8Array>,
  passphrase: string,
  seal: Seal,
): AsyncGenerator<Uint8Array> {
  const key = await keyOf(passphrase, seal);
  let index = 0;
  for await (const { bytes, isLast } of chunksOf(source, seal.chunkBytes + TAG_BYTES)) {
    const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(index++, isLast));
    decipher.setAAD(associatedWith(seal));
    if (bytes.length < TAG_BYTES) throw wrongPassphrase();
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    try {
      const begin = decipher.update(bytes.subarray(0, bytes.length - TAG_BYTES));
      yield Buffer.concat([begin, decipher.final()]);
    } catch (cause) {
      throw wrongPassphrase(cause);
    }
  }
}

function wrongPassphrase(cause?: unknown): OrchdError {
  const message = "the passphrase is not the one that the backup was sealed with";
  return new OrchdError("forbidden", message, { cause });
}

function keyOf(passphrase: string, { n, r, p, salt }: Seal): Promise<Buffer> {
  const options = { N: n, r, p, maxmem: 256 * n * r };
  // An accent is typed as one character or as two, by whichever machine it is.
  const typed = passphrase.normalize("NFC");
  return new Promise((resolve, reject) => {
    scrypt(typed, Buffer.from(salt, "base64"), KEY_BYTES, options, (error, key) => {
      // Node says null where there is no error, Bun nothing.
      if (error) reject(error);
      else resolve(key);
    });
  });
}

function nonceOf(index: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

/** The way in which it is sealed can't be changed either. */
function associatedWith({ kdf, n, r, p, salt, cipher, chunkBytes }: Seal): Uint8Array {
  return Buffer.from(JSON.stringify([kdf, n, r, p, salt, cipher, chunkBytes]));
}

/** The stream in pieces of one size, the last of which may be shorter; at least one. */
async function* chunksOf(source: AsyncIterable<Uint8Array>, size: number) {
  let chunk = Buffer.alloc(size);
  let filled = 0;
  for await (const bytes of source) {
    let rest = bytes;
    while (rest.length > 0) {
      if (filled === size) {
        yield { bytes: chunk, isLast: false };
        chunk = Buffer.alloc(size);
        filled = 0;
      }
      const piece = rest.subarray(0, size - filled);
      chunk.set(piece, filled);
      filled += piece.length;
      rest = rest.subarray(piece.length);
    }
  }
  yield { bytes: chunk.subarray(0, filled), isLast: true };
}
