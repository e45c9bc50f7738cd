import { describe, expect, test } from "bun:test";
import { everybodyAcks, Machine } from "./machine.ts";

const QUIET = { pushPullIntervalMs: 1e9 };
const suspect = (node: string, from = "m3") =>
  ({ type: "suspect", node, incarnation: 1, from }) as const;

describe("with orchd's preset", () => {
  test("time that the process slept through counts for nobody", () => {
    const machine = new Machine({ members: 3, preset: "orchd", tuning: QUIET });
    machine.hear("m3", suspect("m2"));
    // The process stands still for a minute; the suspicion would have ended after two seconds.
    machine.now = 60_000;
    machine.give({ type: "tick" });
    expect(machine.stateOf("m2")).toBe("suspect");
    expect(machine.membership.healthScore).toBe(1);
    machine.hear("m2", { type: "alive", ...memberOf(machine, "m2"), incarnation: 2 });
    expect(machine.stateOf("m2")).toBe("alive");
  });

  test("a suspicion goes on after the sleep for what was left of it", () => {
    const machine = new Machine({ members: 3, preset: "orchd", tuning: QUIET });
    const respond = everybodyAcks(machine);
    machine.hear("m3", suspect("m2"));
    machine.run(1000, respond);
    machine.now = 60_000;
    machine.give({ type: "tick" });
    machine.run(60_400, respond);
    expect(machine.stateOf("m2")).toBe("suspect");
    machine.run(62_000, respond);
    expect(machine.stateOf("m2")).toBe("dead");
  });

  test("after a long sleep it asks somebody for all that it missed", () => {
    const machine = new Machine({ members: 3, preset: "orchd", tuning: QUIET });
    machine.now = 60_000;
    machine.give({ type: "tick" });
    machine.run(60_001);
    expect(machine.effects("pushPull").length).toBe(1);
  });

  test("while packets are held back no time passes, and then it goes on", () => {
    const machine = new Machine({ members: 3, preset: "orchd", tuning: QUIET });
    machine.hear("m3", suspect("m2"));
    machine.give({ type: "backPressure", isOn: true });
    expect(machine.membership.nextTimerAt()).toBeUndefined();
    machine.now = 60_000;
    machine.give({ type: "tick" });
    machine.give({ type: "backPressure", isOn: false });
    expect(machine.stateOf("m2")).toBe("suspect");
    machine.run(63_000, everybodyAcks(machine));
    expect(machine.stateOf("m2")).toBe("dead");
  });

  test("a member that hears nobody does not call the others suspect", () => {
    const machine = new Machine({ members: 20, preset: "orchd", tuning: QUIET });
    machine.run(8000, everybodyAcks(machine));
    machine.run(20_000);
    expect(machine.effects("changed")).toEqual([]);
    expect(machine.membership.healthScore).toBe(7);
  });

  test("but in the end it does: they may be gone after all", () => {
    const machine = new Machine({ members: 6, preset: "orchd", tuning: QUIET });
    machine.run(2000, everybodyAcks(machine));
    machine.run(180_000);
    expect(machine.membership.liveCount).toBeLessThan(5);
  });

  test("whom it suspected before it went deaf gets the whole time again when it hears", () => {
    const machine = new Machine({ members: 20, preset: "orchd", tuning: QUIET });
    for (const from of ["m3", "m4", "m5", "m6"]) machine.hear("m3", suspect("m2", from));
    // Confirmed by three: given up after two seconds, by one that hears.
    machine.run(10_000);
    expect(machine.stateOf("m2")).toBe("suspect");
    const hears = everybodyAcks(machine, ["m2"]);
    machine.hear("m3", { type: "nack", sequence: 1 });
    machine.run(11_900, hears);
    expect(machine.stateOf("m2")).toBe("suspect");
    machine.run(12_100, hears);
    expect(machine.stateOf("m2")).toBe("dead");
  });

  test("of two members one may call the other dead, however silent it is", () => {
    const machine = new Machine({ members: 2, preset: "orchd", tuning: QUIET });
    machine.run(4000);
    expect(machine.stateOf("m2")).toBe("dead");
  });
});

describe("with memberlist's presets", () => {
  test("time always counts", () => {
    const machine = new Machine({ members: 3, tuning: QUIET });
    machine.hear("m3", suspect("m2"));
    machine.now = 60_000;
    machine.give({ type: "tick" });
    expect(machine.stateOf("m2")).toBe("dead");
  });

  test("while packets are held back each loop waits with its first, and suspicions go on", () => {
    const machine = new Machine({ members: 20, tuning: QUIET });
    machine.hear("m3", suspect("m2"));
    machine.give({ type: "backPressure", isOn: true });
    machine.run(60_000);
    expect(machine.effects("sendPacket").length).toBe(2);
    expect(machine.stateOf("m2")).toBe("dead");
    machine.give({ type: "backPressure", isOn: false });
    machine.run(60_001);
    // The probe that waited has failed by now.
    expect(machine.sent("indirectPing").length).toBe(3);
    expect([...machine.membership.members()].some(({ state }) => state === "suspect")).toBe(true);
  });
});

function memberOf(machine: Machine, name: string) {
  const member = machine.membership.member(name);
  if (member === undefined) throw new Error(`${name} is not known`);
  const { node, address, meta, versions } = member;
  return { node, address, meta, versions };
}
