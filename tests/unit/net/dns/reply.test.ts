import { describe, expect, test } from "bun:test";
import { decode, type Answer, type Packet } from "dns-packet";
import { randomBelow, seededRandom } from "../../../../src/lib/random.ts";
import { fitReply, readReply } from "../../../../src/net/dns/reply.ts";
import { anAnswerTo, anOpt, aQuery, aQuestion, answered, isTruncated } from "./packets.ts";

const QUESTION = aQuestion("example.com");
const ASKED = aQuery("example.com").question;

const a = (data: string, ttl = 60): Answer => ({ type: "A", name: "example.com", ttl, data });
const soa = (ttl: number, minimum: number): Answer => ({
  type: "SOA",
  name: "com",
  ttl,
  data: { mname: "ns", rname: "root", serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
});
const reply = (over: Partial<Packet>) => readReply(anAnswerTo(QUESTION, over), 7, ASKED);

describe("answers of other name servers", () => {
  test("one to this question is passed on with the client's own id and letters", () => {
    const found = reply({ answers: [a("192.0.2.1"), a("192.0.2.2")] });
    if (found === undefined) throw new Error("was not read");
    const query = aQuery("EXAMPLE.com", { id: 99, udpBytes: 1232 });
    const read = decode(fitReply(found, query, 0, 1232));
    expect(read).toMatchObject({
      id: 99,
      questions: [{ name: "EXAMPLE.com" }],
      answers: [{ data: "192.0.2.1" }, { data: "192.0.2.2" }],
      additionals: [{ type: "OPT" }],
    });
  });

  test("its time to live goes down with its age, and not below nothing", () => {
    const found = reply({ answers: [a("192.0.2.1", 60), a("192.0.2.2", 20)] });
    if (found === undefined) throw new Error("was not read");
    expect(found.ttlS).toBe(20);
    const { answers } = decode(fitReply(found, aQuery("example.com"), 25, 512));
    expect(answers).toMatchObject([{ ttl: 35 }, { ttl: 0 }]);
  });

  test("EDNS of the other one is not passed on", () => {
    const found = reply({ answers: [a("192.0.2.1")], additionals: [anOpt(4096)] });
    if (found === undefined) throw new Error("was not read");
    expect(decode(fitReply(found, aQuery("example.com"), 0, 512)).additionals).toEqual([]);
  });

  test("that a name is not there is true as long as its zone says, at most five minutes", () => {
    const lifetime = (over: Partial<Packet>) => reply(over)?.ttlS;
    const NXDOMAIN = 3;
    expect(lifetime({ flags: NXDOMAIN, authorities: [soa(3600, 60)] })).toBe(60);
    expect(lifetime({ flags: NXDOMAIN, authorities: [soa(30, 60)] })).toBe(30);
    expect(lifetime({ flags: NXDOMAIN, authorities: [soa(9999, 9999)] })).toBe(300);
    expect(lifetime({ flags: NXDOMAIN })).toBe(0);
    expect(lifetime({ authorities: [soa(3600, 120)] })).toBe(120);
    expect(lifetime({ flags: 2 })).toBe(0);
    expect(lifetime({ answers: [a("192.0.2.1", 999_999)] })).toBe(3600);
    expect(lifetime({ answers: [a("192.0.2.1", 0x8000_0001)] })).toBe(0);
  });

  test("what has no room is left out, as whole records, and the answer says so", () => {
    const found = reply({ answers: Array.from({ length: 60 }, (_, i) => a(`192.0.2.${i}`)) });
    if (found === undefined) throw new Error("was not read");
    const packet = fitReply(found, aQuery("example.com"), 0, 512);
    expect(packet.length).toBeLessThanOrEqual(512);
    const read = decode(packet);
    expect(isTruncated(read)).toBe(true);
    expect(read.answers?.length).toBeGreaterThan(10);
    expect(isTruncated(decode(fitReply(found, aQuery("example.com"), 0, 65_535)))).toBe(false);
  });

  test("names that a library would write out in full stay short", () => {
    const header = Buffer.from("0007818000010002000000000765786d70", "hex").subarray(0, 12);
    const cname = Buffer.from("c00c0005000100000e100002c00c", "hex");
    const packet = Buffer.concat([header, ASKED, cname, cname]);
    const found = readReply(packet, 7, ASKED);
    if (found === undefined) throw new Error("was not read");
    expect(fitReply(found, aQuery("example.com"), 0, 512).length).toBe(packet.length);
  });

  test("another id, question or direction is none, and neither is a broken packet", () => {
    const good = anAnswerTo(QUESTION, { answers: [a("192.0.2.1")] });
    expect(readReply(good, 7, ASKED)?.rcode).toBe(0);
    expect(readReply(good, 8, ASKED)).toBeUndefined();
    expect(readReply(good, 7, aQuery("example.org").question)).toBeUndefined();
    expect(readReply(good, 7, aQuery("example.com", { type: "AAAA" }).question)).toBeUndefined();
    expect(readReply(QUESTION, 7, ASKED)).toBeUndefined();
    for (let length = 0; length < good.length; length++) {
      expect(readReply(good.subarray(0, length), 7, ASKED)).toBeUndefined();
    }
  });

  test("names that point forward or at themselves are refused", () => {
    const good = anAnswerTo(QUESTION);
    for (const target of [good.length, good.length + 1, 0x3fff]) {
      const pointer = [0xc0 | (target >> 8), target & 255];
      const record = Buffer.from([...pointer, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4]);
      const packet = Buffer.concat([good, record]);
      packet.writeUInt16BE(1, 6);
      expect(readReply(packet, 7, ASKED)).toBeUndefined();
    }
  });

  test("whatever comes is read to an end, and what is passed on fits", () => {
    const random = seededRandom("hostile answers");
    const query = aQuery("example.com", { udpBytes: 600 });
    let passed = 0;
    for (let i = 0; i < 10_000; i++) {
      const packet = anAnswerTo(QUESTION, {
        answers: Array.from({ length: randomBelow(random, 40) }, (_, j) => a(`192.0.2.${j}`)),
        additionals: [anOpt(1232)],
      });
      for (let changes = randomBelow(random, 4); changes > 0; changes--) {
        packet[randomBelow(random, packet.length)] = randomBelow(random, 256);
      }
      const found = readReply(packet, 7, ASKED);
      if (found === undefined) continue;
      passed++;
      expect(fitReply(found, query, 1, 600).length).toBeLessThanOrEqual(600);
    }
    expect(passed).toBeGreaterThan(1000);
  });

  test("trouble elsewhere is told as it is", () => {
    const found = reply({ flags: 5 });
    if (found === undefined) throw new Error("was not read");
    expect(answered(fitReply(found, aQuery("example.com"), 0, 512))).toBe("REFUSED");
  });
});
