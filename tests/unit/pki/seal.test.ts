import { describe, expect, test } from "bun:test";
import { newKey } from "../../../src/pki/keys.ts";
import {
  derivedKey,
  keyedDigest,
  keyFromNodeKey,
  keyFromPassphrase,
  newSalt,
  newSealKey,
  open,
  seal,
} from "../../../src/pki/seal.ts";

const plain = new TextEncoder().encode("hunter2");
const CHEAP = { cost: 1024, blockSize: 8, parallelization: 1 };

describe("what is sealed", () => {
  test("comes back for its key and purpose, byte for byte, whatever it holds", () => {
    const key = newSealKey();
    for (const bytes of [
      plain,
      new Uint8Array(),
      Uint8Array.from({ length: 512_000 }, (_, i) => i),
    ]) {
      expect(open(key, "a.1", seal(key, "a.1", bytes))).toEqual(bytes);
    }
  });

  test("is another text each time, and never holds what it seals", () => {
    const key = newSealKey();
    const [first, second] = [seal(key, "a.1", plain), seal(key, "a.1", plain)];
    expect(first).not.toBe(second);
    expect(Buffer.from(first, "base64").toString("latin1")).not.toContain("hunter2");
  });

  test("opens neither for another key nor for another purpose", () => {
    const key = newSealKey();
    const sealed = seal(key, "a.1", plain);
    expect(open(newSealKey(), "a.1", sealed)).toBeUndefined();
    expect(open(key, "a.2", sealed)).toBeUndefined();
    expect(open(key, "", sealed)).toBeUndefined();
  });

  test("opens no more when any one bit of it is altered, or it is cut short", () => {
    const key = newSealKey();
    const sealed = Buffer.from(seal(key, "a.1", plain), "base64");
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const altered = Buffer.from(sealed);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(open(key, "a.1", altered.toString("base64"))).toBeUndefined();
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(open(key, "a.1", sealed.toString("base64", 0, length))).toBeUndefined();
    }
  });
});

describe("keys", () => {
  test("that are derived differ by what they come from and by what they are for", () => {
    const from = newSealKey();
    expect(derivedKey(from, "contents")).toEqual(derivedKey(from, "contents"));
    expect(derivedKey(from, "contents")).not.toEqual(derivedKey(from, "digests"));
    expect(derivedKey(from, "contents")).not.toEqual(derivedKey(newSealKey(), "contents"));
  });

  test("of a node are the same as long as its private key is", async () => {
    const [mine, other] = [await newKey(), await newKey()];
    expect(keyFromNodeKey(mine, "x")).toEqual(keyFromNodeKey(mine, "x"));
    expect(keyFromNodeKey(mine, "x")).not.toEqual(keyFromNodeKey(other, "x"));
  });

  test("from a passphrase follow RFC 7914, section 12", async () => {
    const salt = Buffer.from("NaCl").toString("base64");
    const options = { cost: 1024, blockSize: 8, parallelization: 16 };
    const key = await keyFromPassphrase("password", salt, options);
    expect(Buffer.from(key).toString("hex")).toBe(
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
    );
  });

  test("from a passphrase differ by their salt, and not by how an accent was typed", async () => {
    const salt = newSalt();
    const key = await keyFromPassphrase("caf\u00e9", salt, CHEAP);
    expect(await keyFromPassphrase("cafe\u0301", salt, CHEAP)).toEqual(key);
    expect(await keyFromPassphrase("caf\u00e9", newSalt(), CHEAP)).not.toEqual(key);
  });
});

test("a keyed digest tells whether bytes are the same, to whoever has the key alone", () => {
  const key = newSealKey();
  expect(keyedDigest(key, plain)).toBe(keyedDigest(key, plain));
  expect(keyedDigest(key, plain)).not.toBe(keyedDigest(key, new Uint8Array([1])));
  expect(keyedDigest(key, plain)).not.toBe(keyedDigest(newSealKey(), plain));
});
