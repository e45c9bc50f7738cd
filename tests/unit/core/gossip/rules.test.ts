import { describe, expect, test } from "bun:test";
import { INCARNATION_JUMP_MAX } from "../../../../src/core/gossip/limits.ts";
import type { MemberState } from "../../../../src/core/gossip/messages.ts";
import { addressOf, aMember, anAlive, Machine } from "./machine.ts";

const suspect = (node: string, incarnation = 1, from = "m3") =>
  ({ type: "suspect", node, incarnation, from }) as const;
const dead = (node: string, incarnation = 1, from = "m3") =>
  ({ type: "dead", node, incarnation, from }) as const;

describe("one message about a member changes its state as the table says", () => {
  // What is known of m2 (incarnation 5), what is heard, what is known then.
  const table: [MemberState, ReturnType<typeof suspect | typeof dead | typeof anAlive>, string][] =
    [
      ["alive", suspect("m2", 4), "alive 5"],
      ["alive", suspect("m2", 5), "suspect 5"],
      ["alive", suspect("m2", 6), "suspect 6"],
      ["alive", dead("m2", 4), "alive 5"],
      ["alive", dead("m2", 5), "dead 5"],
      ["alive", dead("m2", 5, "m2"), "left 5"],
      ["alive", anAlive("m2", { incarnation: 5 }), "alive 5"],
      ["alive", anAlive("m2", { incarnation: 6 }), "alive 6"],
      ["suspect", anAlive("m2", { incarnation: 5 }), "suspect 5"],
      ["suspect", anAlive("m2", { incarnation: 6 }), "alive 6"],
      ["suspect", dead("m2", 4), "suspect 5"],
      ["suspect", dead("m2", 5), "dead 5"],
      ["dead", suspect("m2", 5), "dead 5"],
      ["dead", suspect("m2", 6), "dead 5"],
      ["dead", anAlive("m2", { incarnation: 5 }), "dead 5"],
      ["dead", anAlive("m2", { incarnation: 6 }), "alive 6"],
      ["left", dead("m2", 5), "left 5"],
      ["left", anAlive("m2", { incarnation: 6 }), "alive 6"],
    ];
  for (const [state, message, after] of table) {
    test(`${state} 5, then ${message.type} ${message.incarnation}: ${after}`, () => {
      const machine = new Machine();
      machine.hear("m3", anAlive("m2", { incarnation: 5 }));
      if (state === "suspect") machine.hear("m3", suspect("m2", 5));
      if (state === "dead") machine.hear("m3", dead("m2", 5));
      if (state === "left") machine.hear("m3", dead("m2", 5, "m2"));
      machine.hear("m3", message);
      const member = machine.membership.member("m2");
      expect(`${member?.state} ${member?.incarnation}`).toBe(after);
    });
  }
});

test("what is heard is passed on, and old news is not", () => {
  const machine = new Machine();
  machine.hear("m3", suspect("m2"));
  machine.run(1000);
  expect(machine.sent("suspect").length).toBeGreaterThan(0);
  const before = machine.sent("suspect").length;
  machine.hear("m3", suspect("m2", 0));
  machine.run(30_000);
  expect(machine.sent("suspect").filter(({ message }) => message.incarnation === 0)).toEqual([]);
  expect(before).toBeGreaterThan(0);
});

test("of strangers only an alive message is believed", () => {
  const machine = new Machine();
  machine.hear("m3", suspect("m9"), dead("m9"));
  expect(machine.stateOf("m9")).toBeUndefined();
  machine.hear("m3", anAlive("m9"));
  expect(machine.stateOf("m9")).toBe("alive");
});

test("in one packet the refutation counts before the accusation", () => {
  const machine = new Machine();
  machine.hear("m3", suspect("m2", 1), dead("m2", 1), anAlive("m2", { incarnation: 2 }));
  expect(machine.stateOf("m2")).toBe("alive");
  expect(machine.effects("changed").map(({ after }) => after?.state)).toEqual(["alive"]);
});

describe("a member defends itself", () => {
  for (const accusation of [
    suspect("m1", 7),
    dead("m1", 7),
    anAlive("m1", { incarnation: 7, address: addressOf("m9") }),
  ]) {
    test(`against ${accusation.type} with a higher incarnation`, () => {
      const machine = new Machine();
      machine.hear("m3", accusation);
      machine.run(1000);
      expect(machine.membership.self).toMatchObject({ state: "alive", incarnation: 8 });
      expect(machine.membership.self.address).toEqual(addressOf("m1"));
      expect(machine.sent("alive")[0]?.message).toMatchObject({ node: "m1", incarnation: 8 });
      expect(machine.membership.healthScore).toBe(1);
    });
  }

  test("not against its own words, nor against older ones", () => {
    const machine = new Machine();
    machine.hear(
      "m3",
      anAlive("m1"),
      suspect("m1", 0),
      anAlive("m1", { incarnation: 0, address: addressOf("m9") }),
    );
    expect(machine.membership.self.incarnation).toBe(1);
  });

  test("against its own words with other facts: a memory of its former life", () => {
    const machine = new Machine();
    machine.hear("m3", anAlive("m1", { meta: Uint8Array.of(1) }));
    expect(machine.membership.self.incarnation).toBe(2);
  });

  test("a hundred thousand accusations in a second get no more out of it than they brought", () => {
    const machine = new Machine({ members: 100 });
    const bytesIn = 100_000 * 40;
    for (let i = 0; i < 100_000; i++) {
      machine.run(i / 100);
      const { incarnation } = machine.membership.self;
      machine.hear("m3", suspect("m1", incarnation));
    }
    machine.run(20_000);
    const packets = machine.effects("sendPacket").length;
    expect(packets * 1400).toBeLessThan(bytesIn);
    expect(machine.membership.self.incarnation).toBeLessThan(8);
    expect(machine.membership.self.state).toBe("alive");
  });
});

describe("an incarnation can't be pushed to its end", () => {
  const far = INCARNATION_JUMP_MAX + 2;
  for (const message of [
    suspect("m2", far),
    dead("m2", far),
    anAlive("m2", { incarnation: far }),
  ]) {
    test(`${message.type} far ahead of what is known is ignored`, () => {
      const machine = new Machine();
      machine.hear("m3", message);
      expect(machine.membership.member("m2")).toEqual(aMember("m2"));
      expect(machine.effects("ignored").map(({ why }) => why)).toEqual(["incarnation"]);
    });
  }

  test("nor is it a number that is none", () => {
    const machine = new Machine();
    for (const incarnation of [Number.NaN, -1, 1.5, 2 ** 32, Number.POSITIVE_INFINITY]) {
      machine.hear("m3", anAlive("m2", { incarnation }), anAlive("m9", { incarnation }));
    }
    expect(machine.membership.member("m2")?.incarnation).toBe(1);
    expect(machine.stateOf("m9")).toBeUndefined();
  });

  test("a member at the very end stays there and goes on", () => {
    const machine = new Machine();
    for (let i = 0; i < 4100; i++) {
      machine.run(machine.now + 2000);
      const { incarnation } = machine.membership.self;
      const accused = Math.min(2 ** 32 - 1, incarnation + INCARNATION_JUMP_MAX);
      machine.hear("m3", suspect("m1", accused));
    }
    expect(machine.membership.self).toMatchObject({ state: "alive", incarnation: 2 ** 32 - 1 });
  });
});

describe("an address is only a hint", () => {
  test("a live member moves with a higher incarnation", () => {
    const machine = new Machine();
    const moved = anAlive("m2", { incarnation: 2, address: addressOf("m99") });
    machine.hear("m99", moved);
    expect(machine.membership.member("m2")?.address).toEqual(addressOf("m99"));
    expect(machine.effects("conflict")).toEqual([]);
  });

  test("the same incarnation in two places is a conflict, and the first is kept", () => {
    const machine = new Machine();
    machine.hear("m99", anAlive("m2", { address: addressOf("m99") }));
    expect(machine.membership.member("m2")?.address).toEqual(addressOf("m2"));
    expect(machine.effects("conflict")).toEqual([
      { type: "conflict", node: "m2", known: addressOf("m2"), other: addressOf("m99") },
    ]);
  });

  test("somebody who goes on to claim this member's name is told of", () => {
    const machine = new Machine();
    for (let i = 0; i < 3; i++) {
      const { incarnation } = machine.membership.self;
      machine.hear(
        "m99",
        anAlive("m1", { incarnation: incarnation + 1, address: addressOf("m99") }),
      );
    }
    expect(machine.effects("conflict").map(({ other }) => other)).toEqual([addressOf("m99")]);
  });

  test("this member's own move is told to all", () => {
    const machine = new Machine();
    machine.give({ type: "setAddress", address: addressOf("m50") });
    machine.run(1000);
    expect(machine.sent("alive")[0]?.message).toMatchObject({
      incarnation: 2,
      address: addressOf("m50"),
    });
  });

  for (const host of [
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
    "example.org",
    "",
  ]) {
    test(`nobody lives at "${host}"`, () => {
      const machine = new Machine();
      machine.hear("m3", anAlive("m9", { address: { host, port: 1 } }));
      machine.hear("m3", anAlive("m2", { incarnation: 2, address: { host, port: 1 } }));
      expect(machine.stateOf("m9")).toBeUndefined();
      expect(machine.membership.member("m2")?.address).toEqual(addressOf("m2"));
    });
  }

  test("nor at port 0", () => {
    const machine = new Machine();
    machine.hear("m3", anAlive("m9", { address: { host: "10.0.0.9", port: 0 } }));
    expect(machine.effects("ignored")).toEqual([
      { type: "ignored", why: "address", from: addressOf("m3") },
    ]);
  });
});

describe("there are limits", () => {
  test("to names, meta, versions and the number of members", () => {
    const machine = new Machine({ tuning: { membersMax: 6 } });
    machine.hear("m3", anAlive("m9", { node: "" }));
    machine.hear("m3", anAlive("m9", { node: "ä".repeat(127) }));
    machine.hear("m3", anAlive("m9", { meta: new Uint8Array(513) }));
    machine.hear("m3", anAlive("m9", { versions: [6, 7, 6, 0, 0, 0] }));
    machine.hear("m3", anAlive("m9", { node: "ä".repeat(126), meta: new Uint8Array(512) }));
    machine.hear("m3", anAlive("m10"));
    expect(machine.effects("ignored").map(({ why }) => why)).toEqual([
      "name",
      "name",
      "meta",
      "versions",
      "limit",
    ]);
    expect(machine.membership.liveCount).toBe(6);
  });

  test("ten thousand bogus members in one exchange leave room for no more than the limit", () => {
    const machine = new Machine({ tuning: { membersMax: 100 } });
    const bogus = Array.from({ length: 10_000 }, (_, i) => aMember("m9", { node: `bogus ${i}` }));
    machine.hearState("m2", ...bogus);
    expect([...machine.membership.members()].length).toBe(100);
  });
});

test("a dead member is forgotten after a time, and its name is free again", () => {
  const machine = new Machine({ preset: "lan" });
  machine.hear("m3", dead("m2", 1));
  machine.run(29_000, () => undefined);
  expect(machine.stateOf("m2")).toBe("dead");
  machine.run(31_000);
  expect(machine.stateOf("m2")).toBeUndefined();
  expect(machine.effects("changed").at(-1)).toMatchObject({ node: "m2", after: undefined });
  machine.hear("m3", anAlive("m2"));
  expect(machine.stateOf("m2")).toBe("alive");
});

test("a member that came back before it was forgotten is not forgotten after all", () => {
  const machine = new Machine({ tuning: { probeIntervalMs: 1_000_000 } });
  machine.hear("m3", dead("m2", 1));
  machine.run(20_000);
  machine.hear("m3", anAlive("m2", { incarnation: 2 }));
  machine.run(60_000);
  expect(machine.stateOf("m2")).toBe("alive");
});
