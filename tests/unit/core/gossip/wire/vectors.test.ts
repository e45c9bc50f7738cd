import { describe, expect, test } from "bun:test";
import { crc32 } from "node:zlib";
import type { Message } from "../../../../../src/core/gossip/messages.ts";
import { compress } from "../../../../../src/core/gossip/wire/compress.ts";
import {
  decodeDatagram,
  encodeDatagram,
  packMessages,
} from "../../../../../src/core/gossip/wire/datagram.ts";
import { encodeMessage } from "../../../../../src/core/gossip/wire/message.ts";
import { decodeMessage } from "../../../../../src/core/gossip/wire/read-message.ts";
import { StreamDecoder } from "../../../../../src/core/gossip/wire/stream-decoder.ts";
import {
  encodeStream,
  type StreamMessage,
} from "../../../../../src/core/gossip/wire/stream-message.ts";
import { decodeTags, encodeTags } from "../../../../../src/core/gossip/wire/tags.ts";
import { fromHex, testCipher, toHex, utf8 } from "./bytes.ts";
import { COMPOUND, MESSAGES, PUSH_PULL } from "./samples.ts";
import { VECTORS } from "./vectors.ts";

const POLICY = { loopback: false };
const PLAIN = { label: "", compress: false };
const KEY = "0123456789abcdef";

describe("every message is, byte for byte, what memberlist writes", () => {
  for (const [name, message] of Object.entries(MESSAGES) as [keyof typeof MESSAGES, Message][]) {
    test(name, () => {
      expect(toHex(encodeMessage(message))).toBe(VECTORS[name]);
      expect(decodeMessage(fromHex(VECTORS[name]), POLICY)).toEqual(message);
    });
  }
});

describe("packets are what memberlist writes", () => {
  const payload = packMessages(COMPOUND.map(encodeMessage), 1400)[0] ?? new Uint8Array();
  const all = { messages: COMPOUND, refused: [] };

  test("a compound message", () => {
    expect(toHex(payload)).toBe(VECTORS.compound);
  });

  test("with a checksum", () => {
    expect(toHex(encodeDatagram(payload, PLAIN))).toBe(VECTORS.crc);
    expect(decodeDatagram(fromHex(VECTORS.crc), PLAIN, POLICY)).toEqual(all);
  });

  test("a compressed message", () => {
    expect(toHex(compress(payload))).toBe(VECTORS.compressed);
    expect(decodeDatagram(fromHex(VECTORS.compressed), PLAIN, POLICY)).toEqual(all);
  });

  test("a compressed message that gets shorter", () => {
    const lines = Array.from({ length: 40 }, (_, i) => `line ${i * i} of a longer text; `);
    const message = { type: "user", payload: utf8(lines.join("")) } as const;
    expect(toHex(compress(encodeMessage(message)))).toBe(VECTORS.compressedBig);
    const received = decodeDatagram(fromHex(VECTORS.compressedBig), PLAIN, POLICY);
    expect(received).toEqual({ messages: [message], refused: [] });
  });

  test("compression that runs out of codes and clears its table", () => {
    let x = 1;
    const bytes = Uint8Array.from({ length: 20_001 }, (_, at) => {
      if (at === 0) return 8;
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
      return (x >>> 24) & 63;
    });
    const packed = compress(bytes);
    expect([crc32(packed).toString(16), packed.length]).toEqual(["4c8ece04", 20957]);
    const received = decodeDatagram(packed, PLAIN, POLICY);
    expect(received).toEqual({
      messages: [{ type: "user", payload: bytes.slice(1) }],
      refused: [],
    });
  });

  test("encrypted with and without padding", () => {
    const wrapping = { ...PLAIN, cipher: testCipher(KEY) };
    expect(decodeDatagram(fromHex(VECTORS.encrypted0), wrapping, POLICY)).toEqual(all);
    expect(decodeDatagram(fromHex(VECTORS.encrypted1), wrapping, POLICY)).toEqual(all);
  });

  test("encrypted with 32 bytes of key, and labelled", () => {
    const wrapping = { ...PLAIN, label: "blue", cipher: testCipher(KEY + KEY) };
    expect(decodeDatagram(fromHex(VECTORS.encryptedLabel), wrapping, POLICY)).toEqual(all);
  });
});

describe("streams are what memberlist writes", () => {
  const read = (hex: string, wrapping: Parameters<typeof encodeStream>[1] = PLAIN) =>
    new StreamDecoder({ wrapping, ...POLICY }).feed(fromHex(hex));
  const pushPull: StreamMessage = { type: "pushPull", state: PUSH_PULL, refused: [] };

  test("a push/pull with its user state", () => {
    expect(toHex(encodeStream(pushPull, PLAIN))).toBe(VECTORS.pushPull);
    expect(read(VECTORS.pushPull)).toEqual(pushPull);
  });

  test("a compressed one", () => {
    expect(toHex(encodeStream(pushPull, { ...PLAIN, compress: true }))).toBe(
      VECTORS.pushPullCompressed,
    );
    expect(read(VECTORS.pushPullCompressed)).toEqual(pushPull);
  });

  test("an encrypted one", () => {
    const wrapping = { ...PLAIN, cipher: testCipher(KEY) };
    expect(read(VECTORS.pushPullEncrypted, wrapping)).toEqual(pushPull);
  });

  test("a user message", () => {
    expect(toHex(encodeStream(MESSAGES.user, PLAIN))).toBe(VECTORS.userStream);
    expect(read(VECTORS.userStream)).toEqual(MESSAGES.user);
  });

  test("an error", () => {
    const error = { type: "error", text: "no such thing" } as const;
    expect(toHex(encodeStream(error, PLAIN))).toBe(VECTORS.error);
    expect(read(VECTORS.error)).toEqual(error);
  });
});

test("tags are what serf writes", () => {
  expect(toHex(encodeTags({ role: "agent" }) ?? new Uint8Array())).toBe(VECTORS.tags);
  expect(decodeTags(fromHex(VECTORS.tags))).toEqual({ role: "agent" });
});
