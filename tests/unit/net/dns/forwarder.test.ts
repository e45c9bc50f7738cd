import { afterEach, describe, expect, test } from "bun:test";
import { decode, TRUNCATED_RESPONSE, type Answer, type Packet } from "dns-packet";
import { systemClock } from "../../../../src/lib/clock.ts";
import { Forwarder } from "../../../../src/net/dns/forwarder.ts";
import { fitReply } from "../../../../src/net/dns/reply.ts";
import type { Upstream } from "../../../../src/net/dns/upstream.ts";
import { until } from "../../../conformance/runtime-until.ts";
import { FakeUpstream, type Behaviour } from "./fake-upstream.ts";
import { anAnswerTo, answered, aQuery } from "./packets.ts";

/** Short, so that what waits in vain is soon over. */
const PATIENCE = { tryMs: 60, deadlineMs: 400, probeMs: 100 };

const fakes: FakeUpstream[] = [];
afterEach(() => {
  for (const fake of fakes.splice(0)) fake.close();
});

async function anUpstream(behaviour: Behaviour, byTcp?: Behaviour): Promise<FakeUpstream> {
  const fake = await FakeUpstream.start(behaviour, byTcp);
  fakes.push(fake);
  return fake;
}

/** A forwarder whose time stands still unless it is moved, as far as what it keeps is concerned. */
function aForwarder() {
  const time = { now: 0 };
  const clock = systemClock;
  return { time, forwarder: new Forwarder({ clock, now: () => time.now, patience: PATIENCE }) };
}

const a = (data: string, ttl = 60): Answer => ({ type: "A", name: "example.com", ttl, data });
const answering =
  (...answers: Answer[]): Behaviour =>
  (question) => [anAnswerTo(question, { answers })];
const failing =
  (over: Partial<Packet>): Behaviour =>
  (question) => [anAnswerTo(question, over)];
const silent: Behaviour = () => [];

/** What somebody gets who asks for an address of example.com. */
async function ask(forwarder: Forwarder, upstreams: readonly Upstream[], name = "example.com") {
  const query = aQuery(name);
  const found = await forwarder.lookUp(query, upstreams);
  if (found === undefined) return "nothing";
  return answered(fitReply(found.reply, query, found.ageS, 65_535));
}

describe("questions to name servers outside", () => {
  test("an answer is kept for as long as it is true", async () => {
    const upstream = await anUpstream(answering(a("192.0.2.1", 10)));
    const { forwarder, time } = aForwarder();
    expect(await ask(forwarder, [upstream])).toBe("192.0.2.1");
    time.now = 9000;
    expect(await ask(forwarder, [upstream], "EXAMPLE.com")).toBe("192.0.2.1");
    expect(upstream.asked).toHaveLength(1);
    time.now = 10_000;
    expect(await ask(forwarder, [upstream])).toBe("192.0.2.1");
    expect(upstream.asked).toHaveLength(2);
  });

  test("who asks the same at the same time shares one question", async () => {
    const upstream = await anUpstream(answering(a("192.0.2.1")));
    const { forwarder } = aForwarder();
    const asked = Array.from({ length: 20 }, () => ask(forwarder, [upstream]));
    expect(new Set(await Promise.all(asked))).toEqual(new Set(["192.0.2.1"]));
    expect(upstream.asked).toHaveLength(1);
  });

  test("each question has an id and a port of its own", async () => {
    const upstream = await anUpstream(answering());
    const { forwarder } = aForwarder();
    for (let i = 0; i < 20; i++) await ask(forwarder, [upstream], `n${i}.example.com`);
    const ids = new Set(upstream.asked.map((question) => decode(question).id));
    expect(ids.size).toBeGreaterThan(15);
    expect(upstream.fromPorts.size).toBeGreaterThan(15);
    expect(decode(upstream.asked[0] ?? Buffer.alloc(0)).additionals).toHaveLength(1);
  });

  test("what does not answer the question is as if it had not come", async () => {
    const forged = a("203.0.113.66");
    const upstream = await anUpstream((question) => {
      const wrongId = Buffer.from(question);
      wrongId.writeUInt16BE((question.readUInt16BE(0) + 1) & 0xffff, 0);
      const other = { questions: [{ type: "A", name: "example.org" }] as const };
      return [
        anAnswerTo(wrongId, { answers: [forged] }),
        anAnswerTo(question, { ...other, questions: [...other.questions], answers: [forged] }),
        question,
        Buffer.from("no packet at all"),
        anAnswerTo(question, { answers: [forged] }).subarray(0, 40),
        anAnswerTo(question, { answers: [a("192.0.2.1")] }),
      ];
    });
    expect(await ask(aForwarder().forwarder, [upstream])).toBe("192.0.2.1");
  });

  test("a datagram of somebody else is not looked at", async () => {
    const upstream = await anUpstream(silent);
    const { forwarder } = aForwarder();
    const asked = ask(forwarder, [upstream]);
    const question = await until("the question", () => upstream.asked[0]);
    const socket = { error() {} };
    const forger = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0, socket });
    for (const port of upstream.fromPorts) {
      forger.send(anAnswerTo(question, { answers: [a("203.0.113.66")] }), port, "127.0.0.1");
    }
    expect(await asked).toBe("nothing");
    forger.close();
  });

  test("the next one is asked when one is silent, refuses, is not there, or fails", async () => {
    const good = await anUpstream(answering(a("192.0.2.1")));
    const gone = await anUpstream(silent);
    gone.close();
    const others = [await anUpstream(silent), await anUpstream(failing({ flags: 2 })), gone];
    for (const other of [...others, await anUpstream(failing({ flags: 5 }))]) {
      expect(await ask(aForwarder().forwarder, [other, good])).toBe("192.0.2.1");
    }
  });

  test("trouble of all of them is told as it is", async () => {
    const failed = await anUpstream(failing({ flags: 2 }));
    const refused = await anUpstream(failing({ flags: 5 }));
    expect(await ask(aForwarder().forwarder, [failed, refused])).toBe("REFUSED");
  });

  test("a question that was lost is sent again", async () => {
    let count = 0;
    const upstream = await anUpstream((question) =>
      ++count < 2 ? [] : [anAnswerTo(question, { answers: [a("192.0.2.1")] })],
    );
    expect(await ask(aForwarder().forwarder, [upstream])).toBe("192.0.2.1");
    expect(upstream.asked.length).toBeGreaterThan(1);
  });

  test("without a name server nobody waits, nor for one that is known to be dead", async () => {
    const upstream = await anUpstream(silent);
    const { forwarder, time } = aForwarder();
    expect(forwarder.lookUp(aQuery("example.com"), [])).toBeUndefined();
    const asked = ask(forwarder, [upstream]);
    await until("the question", () => upstream.asked[0]);
    time.now = 4000;
    expect(await asked).toBe("nothing");
    expect(forwarder.lookUp(aQuery("example.org"), [upstream])).toBeUndefined();
  });

  test("one that is back is found by the first who may try", async () => {
    let isBack = false;
    const upstream = await anUpstream((question) =>
      isBack ? [anAnswerTo(question, { answers: [a("192.0.2.1")] })] : [],
    );
    const { forwarder, time } = aForwarder();
    const asked = ask(forwarder, [upstream]);
    await until("the question", () => upstream.asked[0]);
    time.now = 4000;
    await asked;
    isBack = true;
    time.now = 5500;
    expect(await ask(forwarder, [upstream])).toBe("192.0.2.1");
    expect(await ask(forwarder, [upstream], "example.org")).toBe("192.0.2.1");
  });

  test("what has no room in a datagram is fetched over TCP", async () => {
    const all = Array.from({ length: 20 }, (_, i) => a(`192.0.2.${i}`));
    const cut: Behaviour = (question) => [
      anAnswerTo(question, { flags: TRUNCATED_RESPONSE, answers: all.slice(0, 1) }),
    ];
    const upstream = await anUpstream(cut, answering(...all));
    expect((await ask(aForwarder().forwarder, [upstream])).split(" ")).toHaveLength(20);
    expect(upstream.askedByTcp).toHaveLength(1);
  });

  test("a part of an answer is better than none, and is not kept", async () => {
    const cut: Behaviour = (question) => [
      anAnswerTo(question, { flags: TRUNCATED_RESPONSE, answers: [a("192.0.2.1")] }),
    ];
    const upstream = await anUpstream(cut, silent);
    const { forwarder } = aForwarder();
    expect(await ask(forwarder, [upstream])).toBe("192.0.2.1");
    await ask(forwarder, [upstream]);
    expect(upstream.asked).toHaveLength(2);
  });

  test("one that knows no EDNS is asked without it", async () => {
    const upstream = await anUpstream((question) => {
      if (question.readUInt16BE(10) === 0) return answering(a("192.0.2.1"))(question);
      const header = Buffer.from(question.subarray(0, 12));
      header.writeUInt16BE(0x8001, 2);
      header.fill(0, 4);
      return [header];
    });
    const { forwarder } = aForwarder();
    expect(await ask(forwarder, [upstream])).toBe("192.0.2.1");
    expect(await ask(forwarder, [upstream], "example.org")).toBe("192.0.2.1");
    expect(upstream.asked).toHaveLength(3);
  });

  test("no more than so many questions are under way", async () => {
    const upstream = await anUpstream(silent);
    const { forwarder } = aForwarder();
    const found = Array.from({ length: 300 }, (_, i) =>
      forwarder.lookUp(aQuery(`n${i}.example.com`), [upstream]),
    );
    expect(found.filter((one) => one !== undefined)).toHaveLength(256);
    for (const one of found) expect(await one).toBeUndefined();
  });
});
