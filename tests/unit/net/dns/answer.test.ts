import { describe, expect, test } from "bun:test";
import { AUTHORITATIVE_ANSWER, decode, RECURSION_AVAILABLE, RECURSION_DESIRED } from "dns-packet";
import type { ZoneRecord } from "../../../../src/core/network/zone.ts";
import { encodeEmpty, encodeFound, udpLimitOf } from "../../../../src/net/dns/answer.ts";
import { aQuery, answered, isTruncated } from "./packets.ts";

const addresses = (count: number): ZoneRecord[] =>
  Array.from({ length: count }, (_, i) => {
    return { type: "A", address: `10.210.${1 + (i >> 8)}.${i & 255}` };
  });

describe("answers of our own", () => {
  test("addresses are as the library reads them, with the question as it came", () => {
    const packet = encodeFound(aQuery("WeB.Shop"), { records: addresses(2) }, 512);
    const read = decode(packet);
    expect(read.questions).toEqual([{ name: "WeB.Shop", type: "A", class: "IN" }]);
    expect(read.answers).toMatchObject([
      { name: "WeB.Shop", type: "A", class: "IN", ttl: 5, data: "10.210.1.0" },
      { name: "WeB.Shop", type: "A", class: "IN", ttl: 5, data: "10.210.1.1" },
    ]);
    const flags = AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | RECURSION_DESIRED;
    expect(read.flags).toBe(flags);
    expect(read.id).toBe(7);
  });

  test("addresses of IPv6 are as the library reads them, as many as fit", () => {
    const records: ZoneRecord[] = Array.from({ length: 20 }, (_, i) => {
      return { type: "AAAA", address: `fd11:2222:3333::ad2:1${i + 10}` };
    });
    const read = decode(encodeFound(aQuery("web", { type: "AAAA" }), { records }, 512));
    expect(read.answers?.[1]).toMatchObject({ type: "AAAA", data: "fd11:2222:3333::ad2:111" });
    expect(read.answers).toHaveLength(17);
    expect(isTruncated(read)).toBe(true);
    const both = [...addresses(1), ...records.slice(0, 1)];
    const { answers } = decode(encodeFound(aQuery("web"), { records: both }, 512));
    expect(answers?.map(({ type }) => type)).toEqual(["A", "AAAA"]);
  });

  test("EDNS is answered where it was asked with, and only there", () => {
    const found = { records: addresses(1) };
    expect(decode(encodeFound(aQuery("web"), found, 512)).additionals).toEqual([]);
    const query = aQuery("web", { udpBytes: 4096 });
    const { additionals } = decode(encodeFound(query, found, udpLimitOf(query)));
    expect(additionals).toMatchObject([{ type: "OPT", udpPayloadSize: 1232 }]);
  });

  test("no datagram is larger than the client takes, nor than what passes in one piece", () => {
    expect(udpLimitOf(aQuery("web"))).toBe(512);
    expect(udpLimitOf(aQuery("web", { udpBytes: 100 }))).toBe(512);
    expect(udpLimitOf(aQuery("web", { udpBytes: 900 }))).toBe(900);
    expect(udpLimitOf(aQuery("web", { udpBytes: 65_535 }))).toBe(1232);
  });

  test("what has no room is left out, and the answer says so", () => {
    const query = aQuery("tasks.web", { udpBytes: 512 });
    const packet = encodeFound(query, { records: addresses(100) }, 512);
    expect(packet.length).toBeLessThanOrEqual(512);
    const read = decode(packet);
    expect(isTruncated(read)).toBe(true);
    expect(read.answers).toHaveLength(29);
    expect(isTruncated(decode(encodeFound(query, { records: addresses(29) }, 512)))).toBe(false);
  });

  test("ports come with the addresses of their hosts while there is room", () => {
    const records = Array.from({ length: 10 }, (_, i): ZoneRecord => {
      return { type: "SRV", target: `${i}.web.shop.orchd.internal`, port: 80 };
    });
    const hosts = records.map((_, i) => {
      return { name: `${i}.web.shop.orchd.internal`, address: `10.210.1.${i}` };
    });
    const query = aQuery("_Http._tcp.Web", { type: "SRV" });
    const whole = decode(encodeFound(query, { records, hosts }, 65_535));
    expect(whole.questions).toEqual([{ name: "_Http._tcp.Web", type: "SRV", class: "IN" }]);
    expect(whole.answers?.[3]).toMatchObject({
      type: "SRV",
      data: { target: "3.web.shop.orchd.internal", port: 80 },
    });
    expect(whole.additionals).toHaveLength(10);
    const smaller = encodeFound(query, { records, hosts }, 700);
    expect(decode(smaller)).toMatchObject({ additionals: [], answers: { length: 10 } });
    const cut = encodeFound(query, { records, hosts }, 512);
    expect(cut.length).toBeLessThanOrEqual(512);
    expect(isTruncated(decode(cut))).toBe(true);
  });

  test("a name for an address", () => {
    const query = aQuery("2.1.210.10.in-addr.arpa", { type: "PTR" });
    const records: ZoneRecord[] = [{ type: "PTR", target: "1.web.shop.orchd.internal" }];
    expect(answered(encodeFound(query, { records }, 512))).toBe("1.web.shop.orchd.internal");
  });

  test("codes beyond four bits stand in EDNS", () => {
    const read = decode(encodeEmpty(aQuery("web", { udpBytes: 1232 }), 16));
    expect(read).toMatchObject({ rcode: "NOERROR", additionals: [{ extendedRcode: 1 }] });
  });
});
