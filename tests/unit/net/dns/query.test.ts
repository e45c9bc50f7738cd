import { describe, expect, test } from "bun:test";
import { decode, encode } from "dns-packet";
import { randomBelow, seededRandom } from "../../../../src/lib/random.ts";
import { encodeRefusal } from "../../../../src/net/dns/answer.ts";
import { readQuery } from "../../../../src/net/dns/query.ts";
import { anOpt, aQuestion } from "./packets.ts";

/** What a packet comes to: its question, the code it is refused with, or nothing. */
function read(packet: Buffer): string {
  const incoming = readQuery(packet);
  if (incoming === undefined) return "nothing";
  if (incoming.kind === "refused") return `refused ${incoming.rcode}`;
  const { name, type, edns } = incoming.query;
  return `${name} ${type}${edns === undefined ? "" : ` edns ${edns.udpBytes}`}`;
}

/** A question with some of its bytes changed. */
function changed(change: (packet: Buffer) => void, packet = aQuestion("web.shop")): Buffer {
  change(packet);
  return packet;
}

/** A header with these counts, and whatever follows. */
function raw(counts: [number, number, number, number], ...rest: number[]): Buffer {
  const header = Buffer.alloc(12);
  header[2] = 1;
  for (const [i, count] of counts.entries()) header.writeUInt16BE(count, 4 + 2 * i);
  return Buffer.concat([header, Buffer.from(rest)]);
}

const A_IN = [0, 1, 0, 1];
const label = (length: number) => [length, ...Array.from({ length }, () => 0x61)];

describe("packets that ask", () => {
  test("a question is read with its name in lower case", () => {
    expect(read(aQuestion("WeB.sHop"))).toBe("web.shop 1");
    expect(read(aQuestion("_http._tcp.web", { type: "SRV" }))).toBe("_http._tcp.web 33");
  });

  test("the question goes back with the case of its letters", () => {
    const incoming = readQuery(aQuestion("WeB.sHop"));
    if (incoming?.kind !== "query") throw new Error("is no query");
    expect(incoming.query.question.toString("latin1", 1, 4)).toBe("WeB");
  });

  test("EDNS tells how much the client takes", () => {
    expect(read(aQuestion("web", { udpBytes: 1400 }))).toBe("web 1 edns 1400");
  });

  test("EDNS is found behind another record", () => {
    const packet = encode({
      type: "query",
      questions: [{ type: "A", name: "web" }],
      additionals: [{ type: "A", name: "x", ttl: 0, data: "192.0.2.1" }, anOpt(900)],
    });
    expect(read(packet)).toBe("web 1 edns 900");
  });

  test("the root is a name", () => {
    expect(read(raw([1, 0, 0, 0], 0, ...A_IN))).toBe(" 1");
  });

  test("a dot within a label makes no other name", () => {
    expect(read(raw([1, 0, 0, 0], 3, 0x61, 0x2e, 0x62, 0, ...A_IN))).toBe("a\\.b 1");
  });
});

describe("packets that don't", () => {
  test("an answer is not answered, whatever it says", () => {
    expect(read(changed((packet) => (packet[2] = 0x81)))).toBe("nothing");
  });

  test("what is shorter than a header is not answered", () => {
    for (let length = 0; length < 12; length++) {
      expect(read(aQuestion("web").subarray(0, length))).toBe("nothing");
    }
  });

  test("other operations are not implemented", () => {
    expect(read(changed((packet) => (packet[2] = 0x28)))).toBe("refused 4");
  });

  test("no question, and more than one, are errors of form", () => {
    expect(read(raw([0, 0, 0, 0]))).toBe("refused 1");
    expect(read(raw([2, 0, 0, 0], 0, ...A_IN, 0, ...A_IN))).toBe("refused 1");
    expect(read(raw([65_535, 65_535, 65_535, 65_535], 0, ...A_IN))).toBe("refused 1");
  });

  test("counts that are not true are errors of form", () => {
    expect(read(raw([1, 65_535, 0, 0], 0, ...A_IN))).toBe("refused 1");
    expect(read(raw([1, 0, 65_535, 0], 0, ...A_IN))).toBe("refused 1");
    expect(read(raw([1, 0, 0, 65_535], 0, ...A_IN))).toBe("refused 1");
  });

  test("names that are shortened, in a circle or not, too long, or cut short are errors", () => {
    expect(read(raw([1, 0, 0, 0], 0xc0, 12, ...A_IN))).toBe("refused 1");
    expect(read(raw([1, 0, 0, 0], 1, 0x61, 0xc0, 12, ...A_IN))).toBe("refused 1");
    expect(read(raw([1, 0, 0, 0], 0x40, 0x61, 0, ...A_IN))).toBe("refused 1");
    const long = [...label(63), ...label(63), ...label(63)];
    expect(read(raw([1, 0, 0, 0], ...long, ...label(61), 0, ...A_IN))).not.toStartWith("refused");
    expect(read(raw([1, 0, 0, 0], ...long, ...label(62), 0, ...A_IN))).toBe("refused 1");
    const whole = aQuestion("web.shop");
    for (let length = 12; length < whole.length; length++) {
      expect(read(whole.subarray(0, length))).toBe("refused 1");
    }
  });

  test("EDNS that is cut short or there twice is an error, and one of later is told so", () => {
    const whole = aQuestion("web", { udpBytes: 1400 });
    for (let length = whole.length - 10; length < whole.length; length++) {
      expect(read(whole.subarray(0, length))).toBe("refused 1");
    }
    const twice = encode({
      type: "query",
      questions: [{ type: "A", name: "web" }],
      additionals: [anOpt(900), anOpt(900)],
    });
    expect(read(twice)).toBe("refused 1");
    expect(read(changed((packet) => (packet[packet.length - 5] = 1), whole))).toBe("refused 16");
  });

  test("transfers of a zone and other classes are refused", () => {
    expect(read(aQuestion("web", { type: "AXFR" }))).toBe("refused 5");
    expect(read(changed((packet) => (packet[packet.length - 1] = 3)))).toBe("refused 5");
  });

  test("whatever comes is read to an end, and its refusal is a packet that can be read", () => {
    const random = seededRandom("hostile questions");
    for (let i = 0; i < 20_000; i++) {
      const packet = hostile(random);
      const incoming = readQuery(packet);
      if (incoming?.kind !== "refused") continue;
      expect(decode(encodeRefusal(incoming)).id).toBe(packet.readUInt16BE(0));
      expect(encodeRefusal(incoming).length).toBeLessThanOrEqual(packet.length + 11);
    }
  });
});

/** A good packet with some bytes changed, cut or added; or none at all. */
function hostile(random: ReturnType<typeof seededRandom>): Buffer {
  const below = (limit: number) => randomBelow(random, limit);
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => below(256)));
  if (below(10) === 0) return noise(below(80));
  const good = aQuestion("tasks.web.shop", below(2) === 0 ? {} : { udpBytes: 1232 });
  for (let changes = below(6); changes > 0; changes--) good[below(good.length)] = below(256);
  const cut = below(3) === 0 ? good.subarray(0, below(good.length + 1)) : good;
  return below(4) === 0 ? Buffer.concat([cut, noise(below(40))]) : cut;
}
