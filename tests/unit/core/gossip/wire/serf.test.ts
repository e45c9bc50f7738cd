import { describe, expect, test } from "bun:test";
import {
  decodeIntent,
  decodeSerfState,
  encodeIntent,
  encodeSerfState,
} from "../../../../../src/core/gossip/wire/serf.ts";
import { SerfIntents } from "../../../../../src/core/gossip/wire/serf-intents.ts";
import { decodeTags, encodeTags } from "../../../../../src/core/gossip/wire/tags.ts";
import { fromHex, toHex, utf8 } from "./bytes.ts";

const leave = (node: string, time: number) => encodeIntent({ kind: "leave", time, node });
const join = (node: string, time: number) => encodeIntent({ kind: "join", time, node });
const intentIn = (payload: Uint8Array | undefined) => decodeIntent(payload ?? new Uint8Array());

describe("serf's own messages", () => {
  test("a leave and a join, byte for byte", () => {
    expect(toHex(leave("a1", 300))).toBe("0083a54c54696d65cd012ca44e6f6465a26131a55072756e65c2");
    expect(toHex(join("a1", 7))).toBe("0182a54c54696d6507a44e6f6465a26131");
    expect(intentIn(leave("a1", 300))).toEqual({ kind: "leave", time: 300, node: "a1" });
    expect(intentIn(join("a1", 7))).toEqual({ kind: "join", time: 7, node: "a1" });
  });

  test("other messages, cut off or not serf's at all, are none", () => {
    const bytes = leave("a1", 300);
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeIntent(bytes.subarray(0, length))).toBeUndefined();
    }
    expect(decodeIntent(Uint8Array.of(3, 0x80))).toBeUndefined();
    expect(decodeIntent(utf8("hello"))).toBeUndefined();
    expect(decodeIntent(fromHex("0082a54c54696d65cfffffffffffffffffa44e6f6465a26131"))).toBe(
      undefined,
    );
  });

  test("the user state of a push/pull", () => {
    const state = { time: 12, statusTimes: new Map([["a1", 3]]), left: ["b1"] };
    const bytes = encodeSerfState(state);
    expect(decodeSerfState(bytes)).toEqual(state);
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeSerfState(bytes.subarray(0, length))).toBeUndefined();
    }
    expect(decodeSerfState(utf8("something else"))).toBeUndefined();
  });
});

describe("orchd takes part in serf's intents", () => {
  test("it passes on what is news, once", () => {
    const intents = new SerfIntents("us");
    expect(intents.receive(leave("a1", 5))).toEqual(leave("a1", 5));
    expect(intents.receive(leave("a1", 5))).toBeUndefined();
    expect(intents.receive(join("a1", 4))).toBeUndefined();
    expect(intents.receive(join("a1", 6))).toEqual(join("a1", 6));
    expect(intents.receive(utf8("hello"))).toBeUndefined();
  });

  test("its own come after all that it has seen", () => {
    const intents = new SerfIntents("us");
    expect(intentIn(intents.join())).toEqual({ kind: "join", time: 1, node: "us" });
    intents.receive(leave("a1", 40));
    expect(intentIn(intents.leave())).toEqual({ kind: "leave", time: 41, node: "us" });
  });

  test("it contradicts a leave that somebody else says of it, unless it is leaving", () => {
    const intents = new SerfIntents("us");
    intents.join();
    expect(intentIn(intents.receive(leave("us", 9)))).toEqual({
      kind: "join",
      time: 10,
      node: "us",
    });
    expect(intents.receive(leave("us", 9))).toBeUndefined();
    intents.leave();
    expect(intents.receive(leave("us", 99))).toBeUndefined();
  });

  test("a push/pull that has it as left is contradicted too", () => {
    const intents = new SerfIntents("us");
    const statusTimes = new Map([
      ["us", 20],
      ["a1", 21],
    ]);
    const news = intents.merge(encodeSerfState({ time: 30, statusTimes, left: ["us", "a1"] }));
    expect(news.map(intentIn)).toEqual([{ kind: "join", time: 30, node: "us" }]);
    expect(intents.merge(utf8("no serf"))).toEqual([]);
  });

  test("its own push/pull tells who left on purpose, as far as the membership knows them", () => {
    const intents = new SerfIntents("us");
    intents.receive(leave("a1", 5));
    intents.receive(leave("b1", 6));
    intents.receive(join("c1", 7));
    const members = [
      { node: "a1", hasLeft: true },
      { node: "b1", hasLeft: false },
      { node: "c1", hasLeft: true },
      { node: "d1", hasLeft: true },
    ];
    expect(decodeSerfState(intents.state(members))).toEqual({
      time: 8,
      statusTimes: new Map([
        ["a1", 5],
        ["b1", 6],
        ["c1", 7],
      ]),
      left: ["a1"],
    });
  });
});

describe("tags", () => {
  test("are told in order of their names", () => {
    const tags = { zone: "b", arch: "arm64" };
    expect(encodeTags(tags)).toEqual(encodeTags({ arch: "arm64", zone: "b" }));
    expect(decodeTags(encodeTags(tags) ?? new Uint8Array())).toEqual(tags);
  });

  test("must fit into a member's meta", () => {
    expect(encodeTags({ a: "x".repeat(505) })).toHaveLength(512);
    expect(encodeTags({ a: "x".repeat(506) })).toBeUndefined();
  });

  test("are none when the meta is something else", () => {
    for (const meta of [new Uint8Array(), utf8("web"), Uint8Array.of(255), Uint8Array.of(255, 1)]) {
      expect(decodeTags(meta)).toEqual({});
    }
    expect(Object.keys(decodeTags(encodeTags({ a: "b" })?.subarray(0, 4) ?? utf8("")))).toEqual([]);
  });
});
