import { describe, expect, test } from "bun:test";
import {
  confirmationsWanted,
  PRESETS,
  pushPullIntervalMs,
  suspicionMinMs,
  transmitLimit,
} from "../../../../src/core/gossip/tuning.ts";
import { anAlive, everybodyAcks, Machine } from "./machine.ts";

const QUIET = { pushPullIntervalMs: 1e9 };
const suspect = (from: string, incarnation = 1) =>
  ({ type: "suspect", node: "m2", incarnation, from }) as const;

/** When `m2` is given up after it was suspected at 0 and confirmed at the times given. */
function givenUpAfter(confirmedAt: readonly number[], members = 10): number {
  const machine = new Machine({
    members,
    tuning: { ...QUIET, suspicionMult: 5, confirmations: 3 },
  });
  const respond = everybodyAcks(machine);
  machine.hear("m3", suspect("m3"));
  confirmedAt.forEach((at, i) => {
    machine.run(at, respond);
    machine.hear("m3", suspect(`m${4 + i}`));
  });
  machine.run(100_000, respond);
  return (
    machine.done.find(({ effect }) => effect.type === "changed" && effect.after?.state === "dead")
      ?.at ?? Number.NaN
  );
}

describe("a suspicion", () => {
  test("lasts its longest time without confirmation, and less with each one", () => {
    expect(givenUpAfter([])).toBe(30_000);
    expect(givenUpAfter([100])).toBe(17_500);
    expect(givenUpAfter([100, 200])).toBe(
      Math.floor(30_000 - (25_000 * Math.log(3)) / Math.log(4)),
    );
    expect(givenUpAfter([100, 200, 300])).toBe(5000);
    expect(givenUpAfter([100, 200, 300, 400])).toBe(5000);
  });

  test("that is confirmed after its shorter time ends at once", () => {
    expect(givenUpAfter([100, 200, 20_000])).toBe(10_187);
    expect(givenUpAfter([20_000])).toBe(20_000);
  });

  test("begins at its least time where there are too few to confirm it", () => {
    expect(givenUpAfter([], 4)).toBe(5000);
  });

  test("does not count one accuser twice, nor the first one", () => {
    const machine = new Machine({ members: 10, tuning: QUIET });
    const respond = everybodyAcks(machine);
    for (const from of ["m3", "m3", "m4", "m4"]) machine.hear("m3", suspect(from));
    machine.run(10_000, respond);
    expect(machine.stateOf("m2")).toBe("suspect");
  });

  test("ends with a refutation", () => {
    const machine = new Machine({ members: 10, tuning: QUIET });
    machine.hear("m3", suspect("m3"), suspect("m4"), suspect("m5"));
    machine.hear("m2", anAlive("m2", { incarnation: 2 }));
    machine.run(100_000, everybodyAcks(machine));
    expect(machine.stateOf("m2")).toBe("alive");
  });

  test("is told to the suspect with the next ping, before anything else", () => {
    const machine = new Machine({ members: 3, tuning: QUIET });
    machine.hear("m3", suspect("m3"));
    machine.run(3000, everybodyAcks(machine));
    const packets = machine.effects("sendPacket").filter(({ node }) => node === "m2");
    const pings = packets.filter(({ messages }) => messages[0]?.type === "ping");
    expect(pings.length).toBeGreaterThan(0);
    for (const { messages } of pings) {
      expect(messages.map(({ type }) => type)).toEqual(["ping", "suspect"]);
      expect(messages[1]).toMatchObject({ node: "m2", from: "m1", incarnation: 1 });
    }
  });

  test("of which several are asked to judge makes them probe the suspect next", () => {
    const members = 40;
    let next = 0;
    for (let seed = 0; seed < 200; seed++) {
      const machine = new Machine({ members, preset: "orchd", tuning: QUIET, seed: `${seed}` });
      machine.hear("m3", suspect("m3"));
      machine.run(500, everybodyAcks(machine));
      if (machine.sent("ping")[0]?.message.node === "m2") next += 1;
    }
    // 4 of 40 are moved, and one in 39 comes to it anyway.
    expect(next).toBeGreaterThan(10);
    expect(next).toBeLessThan(50);
  });
});

describe("the formulas are memberlist's", () => {
  const { lan, orchd } = PRESETS;
  test("least suspicion: the multiplier times the logarithm of n, cut to three decimals", () => {
    expect([1, 10, 128, 1000].map((n) => suspicionMinMs(lan, n))).toEqual([
      4000, 4000, 8428, 12_000,
    ]);
  });

  test("number of transmissions", () => {
    expect([1, 9, 10, 99, 100, 5000].map((n) => transmitLimit(lan, n))).toEqual([
      4, 4, 8, 8, 12, 16,
    ]);
  });

  test("exchanges become rarer above 32 members", () => {
    const seconds = [2, 32, 33, 64, 65, 128].map((n) => pushPullIntervalMs(lan, n) / 1000);
    expect(seconds).toEqual([30, 30, 60, 60, 90, 90]);
  });

  test("with orchd's preset no member sends more entries a second in a larger cluster", () => {
    const rates = [128, 129, 1000, 5000].map((n) => n / pushPullIntervalMs(orchd, n));
    expect(rates.map((rate) => rate.toFixed(6))).toEqual(Array(4).fill((128 / 90_000).toFixed(6)));
  });

  test("confirmations: none where there are too few; with orchd's preset half of them", () => {
    expect([2, 3, 4, 5, 100].map((n) => confirmationsWanted(lan, n))).toEqual([0, 0, 2, 2, 2]);
    expect([2, 3, 4, 5, 8, 100].map((n) => confirmationsWanted(orchd, n))).toEqual([
      0, 0, 1, 1, 3, 3,
    ]);
  });
});
