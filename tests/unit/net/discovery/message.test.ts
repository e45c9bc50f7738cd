import { describe, expect, test } from "bun:test";
import {
  DATAGRAM_BYTES,
  decodeAnswer,
  decodeQuery,
  discoveryKeyOf,
  encodeAnswer,
  encodeQuery,
  hintOf,
} from "../../../../src/net/discovery/message.ts";
import { seededRandom } from "../../../../src/lib/random.ts";

const caDigest = "0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk";
const nonce = Buffer.alloc(16, 7);
const addresses = ["192.0.2.1:6770", "[2001:db8::1]:6770"];

describe("a query", () => {
  test("comes back as it was", () => {
    const query = { caDigest, hint: hintOf("key"), nonce };
    expect(decodeQuery(encodeQuery(query))).toEqual(query);
  });

  test("tells nothing of the key that it means", () => {
    const packet = encodeQuery({ caDigest, hint: hintOf("the key"), nonce });
    expect(packet.includes("the key")).toBe(false);
  });
});

describe("an answer", () => {
  test("gives the addresses to who asked, with the key", () => {
    expect(decodeAnswer(encodeAnswer(nonce, "key", addresses), nonce, "key")).toEqual(addresses);
  });

  test("is no longer than the query, however many addresses there are", () => {
    const many = Array.from({ length: 100 }, (_, i) => `192.0.2.${i}:6770`);
    const answer = encodeAnswer(nonce, "key", many);
    expect(answer).toHaveLength(DATAGRAM_BYTES);
    const told = decodeAnswer(answer, nonce, "key") ?? [];
    expect(told).toEqual(many.slice(0, told.length));
    expect(told.length).toBeGreaterThan(20);
  });

  test("does not count without the key, for another question, or with a changed bit", () => {
    const answer = encodeAnswer(nonce, "key", addresses);
    expect(decodeAnswer(answer, nonce, "another")).toBeUndefined();
    expect(decodeAnswer(answer, Buffer.alloc(16, 8), "key")).toBeUndefined();
    for (let at = 0; at < answer.length; at++) {
      const changed = Buffer.from(answer);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(decodeAnswer(changed, nonce, "key")).toBeUndefined();
    }
  });

  test("holds nothing but addresses", () => {
    const answer = encodeAnswer(nonce, "key", ["192.0.2.1:6770", "example.com:1", "a b", "::1"]);
    expect(decodeAnswer(answer, nonce, "key")).toEqual(["192.0.2.1:6770"]);
  });
});

test("random, cut and oversized datagrams are neither query nor answer", () => {
  const random = seededRandom("discovery");
  const good = [encodeQuery({ caDigest, hint: hintOf("k"), nonce }), encodeAnswer(nonce, "k", [])];
  for (let i = 0; i < 2000; i++) {
    const length = Math.floor(random.next() * 700);
    const noise = Buffer.from(Array.from({ length }, () => Math.floor(random.next() * 256)));
    expect(decodeQuery(noise)).toBeUndefined();
    expect(decodeAnswer(noise, nonce, "k")).toBeUndefined();
  }
  for (const packet of good) {
    for (let length = 0; length < packet.length; length++) {
      expect(decodeQuery(packet.subarray(0, length))).toBeUndefined();
      expect(decodeAnswer(packet.subarray(0, length), nonce, "k")).toBeUndefined();
    }
    expect(decodeQuery(Buffer.concat([packet, Buffer.alloc(1)]))).toBeUndefined();
  }
});

test("each gossip key makes a discovery key of its own", () => {
  const [a, b] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)].map((key) => key.toString("base64"));
  expect(discoveryKeyOf(a ?? "")).not.toBe(discoveryKeyOf(b ?? ""));
  expect(discoveryKeyOf(a ?? "")).not.toInclude(a ?? "");
});
