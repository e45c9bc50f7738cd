import { describe, expect, test } from "bun:test";
import { ReplyCache } from "../../../../src/net/dns/reply-cache.ts";
import { readReply, type Reply } from "../../../../src/net/dns/reply.ts";
import { anAnswerTo, aQuery, aQuestion } from "./packets.ts";

function aReply(ttl: number): Reply {
  const packet = anAnswerTo(aQuestion("example.com"), {
    answers: [{ type: "A", name: "example.com", ttl, data: "192.0.2.1" }],
  });
  const reply = readReply(packet, 7, aQuery("example.com").question);
  if (reply === undefined) throw new Error("was not read");
  return reply;
}

describe("kept answers", () => {
  test("one is there, with its age, until its time is over", () => {
    const cache = new ReplyCache();
    cache.set("a", aReply(10), 0);
    expect(cache.get("a", 9999)).toMatchObject({ ageS: 9 });
    expect(cache.get("a", 10_000)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  test("one that does not say for how long it is true is not kept", () => {
    const cache = new ReplyCache();
    cache.set("a", aReply(10), 0);
    cache.set("a", aReply(0), 0);
    expect(cache.get("a", 0)).toBeUndefined();
  });

  test("the least used make room", () => {
    const cache = new ReplyCache({ entriesMax: 2, bytesMax: 1_000_000 });
    for (const key of ["a", "b"]) cache.set(key, aReply(10), 0);
    cache.get("a", 1);
    cache.set("c", aReply(10), 2);
    expect(["a", "b", "c"].map((key) => cache.get(key, 3) !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("it takes no more memory than it may", () => {
    const cache = new ReplyCache({ entriesMax: 1000, bytesMax: 5000 });
    for (let i = 0; i < 100; i++) cache.set(`${i}`, aReply(10), 0);
    expect(cache.size).toBeGreaterThan(5);
    expect(cache.size).toBeLessThan(12);
  });
});
