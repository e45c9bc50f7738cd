import { describe, expect, test } from "bun:test";
import type { PushPull } from "../../../../../src/core/gossip/messages.ts";
import { compress } from "../../../../../src/core/gossip/wire/compress.ts";
import { concat, type Wrapping } from "../../../../../src/core/gossip/wire/datagram.ts";
import { MsgpackWriter } from "../../../../../src/core/gossip/wire/msgpack-writer.ts";
import { encodePushPull } from "../../../../../src/core/gossip/wire/push-pull.ts";
import type { Refusal } from "../../../../../src/core/gossip/wire/refusal.ts";
import { StreamDecoder } from "../../../../../src/core/gossip/wire/stream-decoder.ts";
import {
  encodeStream,
  type StreamMessage,
} from "../../../../../src/core/gossip/wire/stream-message.ts";
import { randomBelow, seededRandom } from "../../../../../src/lib/random.ts";
import { fromHex, testCipher, utf8 } from "./bytes.ts";
import { MESSAGES, PUSH_PULL } from "./samples.ts";
import { VECTORS } from "./vectors.ts";

const PLAIN: Wrapping = { label: "", compress: false };
const SECRET: Wrapping = { ...PLAIN, cipher: testCipher("0123456789abcdef") };
const WHOLE: StreamMessage = { type: "pushPull", state: PUSH_PULL, refused: [] };

const decoder = (wrapping = PLAIN) => new StreamDecoder({ wrapping, loopback: false });

/** Feeds the bytes in chunks of that size; the first answer counts. */
function feed(
  bytes: Uint8Array,
  wrapping = PLAIN,
  chunkBytes = bytes.length,
): StreamMessage | Refusal | undefined {
  const reader = decoder(wrapping);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const answer = reader.feed(bytes.subarray(at, at + chunkBytes));
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** A map of numbers behind a type byte: what headers are. */
function header(type: number, fields: Record<string, number>): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(type);
  writer.map(Object.keys(fields).length);
  for (const [name, value] of Object.entries(fields)) {
    writer.text(name);
    writer.uint(value);
  }
  return writer.finish();
}

describe("a stream in pieces is the same as a whole one", () => {
  const wrappings: Record<string, Wrapping> = {
    plain: PLAIN,
    compressed: { ...PLAIN, compress: true },
    encrypted: SECRET,
    "labelled, encrypted and compressed": { ...SECRET, compress: true, label: "blue" },
    labelled: { ...PLAIN, label: "blue" },
  };
  const messages: StreamMessage[] = [
    WHOLE,
    { type: "user", payload: utf8("hello") },
    MESSAGES.ping,
    MESSAGES.ack,
    { type: "error", text: "no such thing" },
  ];
  for (const [name, wrapping] of Object.entries(wrappings)) {
    test(name, () => {
      for (const message of messages) {
        const bytes = encodeStream(message, wrapping);
        for (const size of [1, 2, 7, bytes.length]) {
          expect(feed(bytes, wrapping, size)).toEqual(message);
        }
        for (let length = 0; length < bytes.length; length++) {
          expect(feed(bytes.subarray(0, length), wrapping)).toBeUndefined();
        }
      }
    });
  }
});

describe("a header is a promise that costs nothing", () => {
  test("a million members (memberlist's #357)", () => {
    expect(feed(header(6, { Nodes: 1024 * 1024, UserStateLen: 0, Join: 1 }))).toBe("tooMany");
    expect(feed(header(6, { Nodes: 2 ** 53, UserStateLen: 0, Join: 1 }))).toBe("badNumber");
    expect(feed(Uint8Array.of(6, 0x81, 0xa5, ...utf8("Nodes"), 0xff))).toBe("badNumber");
  });

  test("as many members as may be, and then silence", () => {
    expect(feed(header(6, { Nodes: 20_000, UserStateLen: 0, Join: 1 }))).toBeUndefined();
  });

  test("20 MiB of user state (memberlist's #357)", () => {
    const bytes = header(6, { Nodes: 0, UserStateLen: 20 * 1024 * 1024, Join: 1 });
    expect(feed(bytes)).toBe("tooLarge");
  });

  test("a user message of 2 GiB (memberlist's #361)", () => {
    expect(feed(header(8, { UserMsgLen: 2 ** 31 }))).toBe("tooLarge");
    expect(feed(Uint8Array.of(8, 0x81, 0xaa, ...utf8("UserMsgLen"), 0xff))).toBe("badNumber");
  });

  test("4 GiB of encrypted bytes", () => {
    expect(feed(Uint8Array.of(10, 255, 255, 255, 255), SECRET)).toBe("tooLarge");
  });
});

describe("no stream holds more than the limit", () => {
  test("compressed state that unpacks to 8 MiB (memberlist's #362 and #363)", () => {
    const bytes = compress(concat([Uint8Array.of(6), new Uint8Array(8 * 1024 * 1024)]));
    expect(feed(bytes)).toBe("tooLarge");
  });

  test("compressed state with nothing in it, which memberlist looked into (its #369)", () => {
    expect(feed(compress(new Uint8Array()))).toBe("empty");
  });

  test("encrypted state with nothing in it", () => {
    const sealed = SECRET.cipher?.seal(new Uint8Array(), Uint8Array.of(10, 0, 0, 0, 29));
    const frame = Uint8Array.of(10, 0, 0, 0, 29, 1);
    expect(feed(concat([frame, sealed ?? new Uint8Array()]), SECRET)).toBe("empty");
  });

  test("a member with a megabyte of name", () => {
    const reader = decoder();
    reader.feed(header(6, { Nodes: 1, UserStateLen: 0, Join: 0 }));
    expect(reader.feed(fromHex("81a44e616d65db00100000"))).toBe("tooLarge");
  });

  test("members without end", () => {
    const reader = decoder();
    const members = encodePushPull(PUSH_PULL).subarray(35);
    reader.feed(header(6, { Nodes: 20_000, UserStateLen: 0, Join: 0 }));
    let answer: StreamMessage | Refusal | undefined;
    for (let i = 0; i < 20_000 && answer === undefined; i++) answer = reader.feed(members);
    expect(typeof answer).toBe("string");
  });

  test("a message compressed twice", () => {
    expect(feed(compress(compress(fromHex(VECTORS.pushPull))))).toBe("tooDeep");
  });

  test("compressed state that breaks off", () => {
    expect(feed(compress(fromHex(VECTORS.pushPull).subarray(0, 60)))).toBe("badCompression");
  });
});

test("a byte at a time costs no more than its bytes", () => {
  // Unknown fields are the most that there is to read again for each byte that comes.
  const fields: number[] = [];
  for (let i = 0; i < 31; i++)
    fields.push(0xa2, 97, 65 + i, 0x9f, ...Array.from({ length: 15 }, () => 1));
  const slow = decoder();
  slow.feed(Uint8Array.of(9, 0xde, 0, 32, ...fields, 0xa3, ...utf8("Buf"), 0xdb, 0, 15, 0, 0));
  for (let i = 0; i < 900_000; i++) {
    if (slow.feed(Uint8Array.of(1)) !== undefined) throw new Error(`answered after ${i} bytes`);
  }
  expect(slow.feed(new Uint8Array(200_000))).toBe("tooLarge");
});

describe("what is not from this cluster is refused", () => {
  const bytes = (wrapping: Wrapping) => encodeStream(WHOLE, wrapping);

  test("plaintext where there are keys", () => {
    expect(feed(bytes(PLAIN), SECRET)).toBe("plaintext");
  });

  test("encrypted where there are none", () => {
    expect(feed(bytes(SECRET))).toBe("undecryptable");
  });

  test("another key", () => {
    const other = { ...PLAIN, cipher: testCipher("fedcba9876543210") };
    expect(feed(bytes(other), SECRET)).toBe("undecryptable");
  });

  test("another length in the frame, which is part of what is proved", () => {
    const changed = bytes(SECRET);
    changed[4] = (changed[4] ?? 0) - 1;
    expect(feed(changed, SECRET)).toBe("undecryptable");
  });

  test("another label, or none, or one where none may be", () => {
    const blue = { ...SECRET, label: "blue" };
    expect(feed(bytes({ ...SECRET, label: "grey" }), blue)).toBe("badLabel");
    expect(feed(bytes(SECRET), blue)).toBe("badLabel");
    expect(feed(bytes(blue), SECRET)).toBe("badLabel");
  });

  test("a message that has no business on a stream", () => {
    expect(feed(fromHex(VECTORS.alive))).toBe("misplaced");
    expect(feed(Uint8Array.of(200))).toBe("unknownType");
  });
});

test("members that can't be are left out of a push/pull, and the others taken", () => {
  const [good, other] = PUSH_PULL.members;
  if (good === undefined || other === undefined) throw new Error("the sample has two members");
  const state: PushPull = {
    ...PUSH_PULL,
    members: [
      good,
      { ...good, node: "" },
      { ...good, address: { host: "0.0.0.0", port: 7946 } },
      { ...good, address: { host: "127.0.0.1", port: 7946 } },
      { ...good, versions: [0, 0, 0, 0, 0, 0] },
      { ...good, meta: new Uint8Array(600) },
      other,
    ],
  };
  expect(feed(encodePushPull(state))).toEqual({
    type: "pushPull",
    state: PUSH_PULL,
    refused: ["badName", "badAddress", "badAddress", "badVersions", "tooLarge"],
  });
});

test("a member state that is none of the four is left out", () => {
  const bytes = fromHex(VECTORS.pushPull.replace("a5537461746503", "a5537461746509"));
  expect(feed(bytes)).toMatchObject({ refused: ["badState"] });
});

test("random streams, and valid ones with bytes changed, never break the reader", () => {
  const random = seededRandom("streams");
  const valid = [VECTORS.pushPull, VECTORS.pushPullCompressed, VECTORS.userStream].map(fromHex);
  for (let i = 0; i < 10_000; i++) {
    const bytes = (valid[i % valid.length] ?? new Uint8Array()).slice();
    for (let n = 1 + randomBelow(random, 4); n > 0; n--) {
      bytes[randomBelow(random, bytes.length)] = randomBelow(random, 256);
    }
    const answer = feed(bytes);
    const slowly = feed(bytes, PLAIN, 1 + randomBelow(random, 9));
    expect(slowly).toEqual(answer);
  }
});
