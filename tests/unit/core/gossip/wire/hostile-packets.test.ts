import { describe, expect, test } from "bun:test";
import type { Message } from "../../../../../src/core/gossip/messages.ts";
import { compress } from "../../../../../src/core/gossip/wire/compress.ts";
import {
  concat,
  decodeDatagram,
  encodeDatagram,
  packMessages,
  type Wrapping,
} from "../../../../../src/core/gossip/wire/datagram.ts";
import { lzwPack } from "../../../../../src/core/gossip/wire/lzw.ts";
import { encodeMessage } from "../../../../../src/core/gossip/wire/message.ts";
import { MsgpackWriter } from "../../../../../src/core/gossip/wire/msgpack-writer.ts";
import { decodeMessage } from "../../../../../src/core/gossip/wire/read-message.ts";
import { REFUSALS, type Refusal } from "../../../../../src/core/gossip/wire/refusal.ts";
import { randomBelow, seededRandom, type Random } from "../../../../../src/lib/random.ts";
import { fromHex, testCipher, utf8 } from "./bytes.ts";
import { COMPOUND, MESSAGES } from "./samples.ts";
import { VECTORS } from "./vectors.ts";

const POLICY = { loopback: false };
const PLAIN: Wrapping = { label: "", compress: false };
const KEY = "0123456789abcdef";
const SECRET: Wrapping = { ...PLAIN, cipher: testCipher(KEY) };
/** Some seconds on a small machine that does other things as well. */
const MILLION_MS = 120_000;

const read = (bytes: Uint8Array, wrapping = PLAIN) => decodeDatagram(bytes, wrapping, POLICY);
const refusals = (bytes: Uint8Array, wrapping = PLAIN) => read(bytes, wrapping).refused;
const decode = (hex: string) => decodeMessage(fromHex(hex), POLICY);

/** A message of that type whose fields are written as they come: hex, or a value. */
function forge(type: number, fields: [string, number | string | Uint8Array][]): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(type);
  writer.map(fields.length);
  for (const [name, value] of fields) {
    writer.text(name);
    if (typeof value === "number") writer.uint(value);
    else if (typeof value === "string") writer.raw(fromHex(value));
    else writer.bin(value);
  }
  return writer.finish();
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => randomBelow(random, 256));
}

test(
  "a million random packets are each taken or refused with a known word",
  () => {
    const random = seededRandom("packets");
    const known = new Set<string>(REFUSALS);
    const noise = randomBytes(random, 1024 * 1024);
    let unaccounted = 0;
    for (let i = 0; i < 1_000_000; i++) {
      // Short ones get further into the reader, which gives up a long one at its first field.
      const length = randomBelow(random, i % 4 === 0 ? 1401 : 60);
      const at = randomBelow(random, noise.length - length);
      const packet = noise.subarray(at, at + length);
      // A known type first, or nearly all would be refused at once.
      if (i % 2 === 0 && length > 0) packet[0] = randomBelow(random, 14);
      const { messages, refused } = read(packet, i % 25 === 0 ? SECRET : PLAIN);
      // Only a compound message, also one behind a checksum, may hold nothing.
      const mayBeEmpty = packet[0] === 7 || packet[0] === 12;
      if (messages.length + refused.length === 0 && !mayBeEmpty) unaccounted += 1;
      if (!refused.every((word) => known.has(word))) unaccounted += 1;
    }
    expect(unaccounted).toBe(0);
  },
  MILLION_MS,
);

test("long random packets, and valid ones with bytes changed, never break the reader", () => {
  const random = seededRandom("changed");
  const valid = [VECTORS.compound, VECTORS.crc, VECTORS.compressedBig, VECTORS.alive6].map(fromHex);
  for (let i = 0; i < 10_000; i++) {
    const packet = (valid[i % valid.length] ?? new Uint8Array()).slice();
    for (let n = 1 + randomBelow(random, 4); n > 0; n--) {
      packet[randomBelow(random, packet.length)] = randomBelow(random, 256);
    }
    const { messages, refused } = read(packet);
    expect(messages.length + refused.length).toBeGreaterThanOrEqual(packet[0] === 7 ? 0 : 1);
    if (i % 20 === 0) expect(read(randomBytes(random, 1400), SECRET).messages).toEqual([]);
  }
});

test("every message, cut off at each of its bytes, is refused", () => {
  const whole = Object.values(MESSAGES) as Message[];
  for (const message of whole.filter(({ type }) => type !== "user")) {
    const bytes = encodeMessage(message);
    for (let length = 0; length < bytes.length; length++) {
      const expected = length === 0 ? "empty" : "truncated";
      expect(decodeMessage(bytes.subarray(0, length), POLICY)).toBe(expected);
    }
  }
});

test("every wrapped packet, cut off at each of its bytes, gives no whole set of messages", () => {
  for (const [hex, wrapping] of [
    [VECTORS.compound, PLAIN],
    [VECTORS.crc, PLAIN],
    [VECTORS.compressed, PLAIN],
    [VECTORS.encrypted0, SECRET],
    [VECTORS.encrypted1, SECRET],
  ] as const) {
    const bytes = fromHex(hex);
    for (let length = 0; length < bytes.length; length++) {
      const { messages, refused } = read(bytes.subarray(0, length), wrapping);
      expect(refused.length).toBeGreaterThan(0);
      // Parts of a compound message that are there in full are taken, as memberlist does.
      expect(messages).toEqual(COMPOUND.slice(0, messages.length));
      expect(messages.length).toBeLessThan(COMPOUND.length);
    }
  }
});

describe("bombs cost next to nothing", () => {
  test("compound messages within compound messages are not followed to the end", () => {
    let bomb = encodeMessage(MESSAGES.nack);
    for (let depth = 0; depth < 300; depth++) {
      bomb = concat([Uint8Array.of(7, 1, bomb.length >> 8, bomb.length & 255), bomb]);
    }
    expect(read(bomb)).toEqual({ messages: [], refused: ["tooDeep"] });
  });

  test("255 compound messages of 255 empty parts end at the limit of messages", () => {
    const inner = new Uint8Array(2 + 255 * 2);
    inner.set([7, 255]);
    const outer = packMessages(
      Array.from({ length: 120 }, () => inner),
      65_000,
    );
    const { messages, refused } = read(outer[0] ?? new Uint8Array());
    expect(messages).toEqual([]);
    expect(refused.length).toBeLessThanOrEqual(513);
    expect(refused.at(-1)).toBe("tooMany");
  });

  test("198 kB of LZW that stand for 256 MiB stop at 64 KiB (memberlist's HCSEC-2026-18)", () => {
    // Zeros pack best: each code stands for one byte more than the last.
    const bomb = compress(new Uint8Array(8 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(65_000);
    expect(read(bomb)).toEqual({ messages: [], refused: ["tooLarge"] });
  });

  test("many compressed parts share one limit", () => {
    const part = compress(concat([Uint8Array.of(8), new Uint8Array(30_000)]));
    const [packet] = packMessages([part, part, part, part], 65_000);
    const { messages, refused } = read(packet ?? new Uint8Array());
    expect(messages).toHaveLength(2);
    expect(refused).toEqual(["tooLarge", "tooLarge"]);
  });
});

describe("each thing that is wrong has its word", () => {
  const alive = (changed: [string, number | string | Uint8Array][]) => {
    const fields: [string, number | string | Uint8Array][] = [
      ["Incarnation", 1],
      ["Node", utf8("a")],
      ["Addr", Uint8Array.of(10, 0, 0, 1)],
      ["Port", 7946],
      ["Meta", new Uint8Array()],
      ["Vsn", Uint8Array.of(1, 5, 5, 2, 5, 4)],
    ];
    const names = new Set(changed.map(([name]) => name));
    return forge(4, [...fields.filter(([name]) => !names.has(name)), ...changed]);
  };
  const cases: [string, Uint8Array, Refusal][] = [
    ["no bytes at all", new Uint8Array(), "empty"],
    ["a type of a later version", Uint8Array.of(14, 0x80), "unknownType"],
    ["type 245", Uint8Array.of(245), "unknownType"],
    ["a push/pull in a packet", fromHex(VECTORS.pushPull), "misplaced"],
    ["an encrypted message where there are no keys", Uint8Array.of(10, 0, 0, 0, 1), "misplaced"],
    ["a label where none may be", Uint8Array.of(244, 1, 65, 11, 0x80), "badLabel"],
    ["an array instead of a map", Uint8Array.of(11, 0x91, 0x01), "badValue"],
    ["a map of 2^32 - 1 fields", fromHex("0bdfffffffff"), "tooMany"],
    ["a text of 2^32 - 1 bytes", fromHex("0481a44e6f6465dbffffffff"), "truncated"],
    ["bytes of 2^31 bytes", fromHex("0481a44d657461c680000000"), "truncated"],
    ["a sequence of 2^32", forge(11, [["SeqNo", 2 ** 32]]), "badNumber"],
    ["a sequence of 2^53", forge(11, [["SeqNo", 2 ** 53]]), "badNumber"],
    ["a sequence of 2^64 - 1", forge(11, [["SeqNo", "cfffffffffffffffff"]]), "badNumber"],
    ["a negative sequence", forge(11, [["SeqNo", "ff"]]), "badNumber"],
    ["a negative sequence of 64 bits", forge(11, [["SeqNo", "d3ffffffffffffffff"]]), "badNumber"],
    ["a sequence that is a text", forge(11, [["SeqNo", "a131"]]), "badValue"],
    ["an incarnation that is NaN", alive([["Incarnation", "cb7ff8000000000000"]]), "badNumber"],
    ["an incarnation of 1.5", alive([["Incarnation", "ca3fc00000"]]), "badNumber"],
    [
      "a field twice",
      forge(11, [
        ["SeqNo", 1],
        ["SeqNo", 2],
      ]),
      "duplicateField",
    ],
    [
      "an unknown field twice",
      forge(11, [
        ["X", 1],
        ["X", 2],
      ]),
      "duplicateField",
    ],
    ["a name that is no UTF-8", alive([["Node", Uint8Array.of(0xff, 0xfe)]]), "badText"],
    ["an overlong slash in a name", alive([["Node", Uint8Array.of(0xc0, 0xaf)]]), "badText"],
    ["no name", alive([["Node", new Uint8Array()]]), "badName"],
    ["a name of 64 KiB", alive([["Node", new Uint8Array(65_535).fill(97)]]), "badName"],
    ["a name of 256 bytes", alive([["Node", utf8("ü".repeat(128))]]), "badName"],
    ["address 0.0.0.0", alive([["Addr", Uint8Array.of(0, 0, 0, 0)]]), "badAddress"],
    ["a multicast address", alive([["Addr", Uint8Array.of(224, 0, 0, 1)]]), "badAddress"],
    ["the broadcast address", alive([["Addr", new Uint8Array(4).fill(255)]]), "badAddress"],
    ["loopback between machines", alive([["Addr", Uint8Array.of(127, 0, 0, 1)]]), "badAddress"],
    ["IPv6 loopback", alive([["Addr", fromHex(`${"00".repeat(15)}01`)]]), "badAddress"],
    ["an IPv6 multicast address", alive([["Addr", new Uint8Array(16).fill(255)]]), "badAddress"],
    [
      "loopback as mapped IPv6",
      alive([["Addr", fromHex(`${"00".repeat(10)}ffff7f000001`)]]),
      "badAddress",
    ],
    ["five bytes of address", alive([["Addr", new Uint8Array(5).fill(10)]]), "badAddress"],
    ["no address", alive([["Addr", new Uint8Array()]]), "badAddress"],
    ["port 0", alive([["Port", 0]]), "badAddress"],
    ["port 65536", alive([["Port", 65_536]]), "badNumber"],
    ["513 bytes of meta", alive([["Meta", new Uint8Array(513)]]), "tooLarge"],
    [
      "a compression method of another kind",
      forge(9, [
        ["Algo", 1],
        ["Buf", new Uint8Array()],
      ]),
      "badCompression",
    ],
    [
      "compressed bytes that are none",
      forge(9, [["Buf", Uint8Array.of(1, 2, 3)]]),
      "badCompression",
    ],
  ];
  for (const [name, bytes, refusal] of cases) {
    test(name, () => {
      expect(read(bytes)).toEqual({ messages: [], refused: [refusal] });
    });
  }

  test("an alive without versions, or with too few (memberlist's #368)", () => {
    for (const length of [0, 1, 3, 5, 7]) {
      const versions = Uint8Array.from({ length }, () => 1);
      expect(refusals(alive([["Vsn", versions]]))).toEqual(["badVersions"]);
    }
    expect(refusals(alive([["Vsn", "c0"]]))).toEqual(["badVersions"]);
    expect(refusals(alive([["Vsn", Uint8Array.of(0, 5, 5, 2, 5, 4)]]))).toEqual(["badVersions"]);
    expect(refusals(alive([["Vsn", Uint8Array.of(5, 1, 5, 2, 5, 4)]]))).toEqual(["badVersions"]);
  });

  test("a compressed message with nothing in it (memberlist's #369)", () => {
    expect(refusals(forge(9, [["Buf", lzwPack(new Uint8Array())]]))).toEqual(["empty"]);
  });

  test("a checksum that does not fit", () => {
    const bytes = fromHex(VECTORS.crc);
    bytes[4] = (bytes[4] ?? 0) ^ 1;
    expect(refusals(bytes)).toEqual(["badChecksum"]);
  });

  test("one bad part leaves the other parts of its packet alone", () => {
    const parts = [Uint8Array.of(14), encodeMessage(MESSAGES.nack), new Uint8Array()];
    const [packet] = packMessages(parts, 1400);
    expect(read(packet ?? new Uint8Array())).toEqual({
      messages: [MESSAGES.nack],
      refused: ["unknownType", "empty"],
    });
  });
});

describe("where there are keys", () => {
  const payload = encodeMessage(MESSAGES.dead);

  test("what is not encrypted is refused", () => {
    expect(refusals(encodeDatagram(payload, PLAIN), SECRET)).toEqual(["plaintext"]);
    expect(refusals(payload, SECRET)).toEqual(["plaintext"]);
    expect(refusals(fromHex(VECTORS.ping), SECRET)).toEqual(["undecryptable"]);
  });

  test("what another key encrypted, or nobody, is refused", () => {
    const other = { ...PLAIN, cipher: testCipher("fedcba9876543210") };
    expect(refusals(encodeDatagram(payload, other), SECRET)).toEqual(["undecryptable"]);
    expect(refusals(new Uint8Array(40), SECRET)).toEqual(["undecryptable"]);
    expect(refusals(Uint8Array.of(2, ...new Uint8Array(40)), SECRET)).toEqual(["plaintext"]);
    expect(refusals(Uint8Array.of(99, ...new Uint8Array(40)), SECRET)).toEqual(["undecryptable"]);
  });

  test("one changed bit anywhere is refused", () => {
    const bytes = encodeDatagram(payload, SECRET);
    for (let at = 1; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect(refusals(changed, SECRET)).toEqual(["undecryptable"]);
    }
  });

  test("padding that is none is refused", () => {
    const cipher = testCipher(KEY);
    for (const plain of [
      [],
      [0],
      [17],
      [9, 3, 3],
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    ]) {
      const sealed = cipher.seal(Uint8Array.from(plain), new Uint8Array());
      const padded = concat([Uint8Array.of(0), sealed]);
      const [refusal] = refusals(padded, SECRET);
      expect(refusal).toBe("undecryptable");
    }
  });

  test("a label is part of what is proved", () => {
    const blue = { ...SECRET, label: "blue" };
    const bytes = encodeDatagram(payload, blue);
    expect(read(bytes, blue)).toEqual({ messages: [MESSAGES.dead], refused: [] });
    expect(refusals(bytes, { ...SECRET, label: "bluer" })).toEqual(["badLabel"]);
    expect(refusals(bytes, SECRET)).toEqual(["badLabel"]);
    expect(refusals(encodeDatagram(payload, SECRET), blue)).toEqual(["badLabel"]);
    const green = bytes.slice();
    green.set(utf8("grey"), 2);
    expect(refusals(green, { ...SECRET, label: "grey" })).toEqual(["undecryptable"]);
  });
});

describe("what later or other versions write is understood", () => {
  test("texts and numbers in any of msgpack's forms", () => {
    // str8 name, int64 incarnation, bin8 from; a float, an array and an extension nobody knows.
    const node = "a44e6f6465d9026231";
    const incarnation = "ab496e6361726e6174696f6ed30000000000000003";
    const from = "a446726f6dc4026131";
    const unknown = "a158cb3ff0000000000000a1599301c0c3a15ad60100000000";
    const expected = { type: "suspect", incarnation: 3, node: "b1", from: "a1" } as const;
    expect(decode(`0386${node}${incarnation}${from}${unknown}`)).toEqual(expected);
  });

  test("nil stands for nothing", () => {
    expect(decode("0282a75061796c6f6164c0a55365714e6fc0")).toEqual({
      type: "ack",
      sequence: 0,
      payload: new Uint8Array(),
    });
  });
});
