import { describe, expect, test } from "bun:test";
import { INCARNATION_FIRST_MAX, INCARNATION_JUMP_MAX } from "../../../../src/core/gossip/limits.ts";
import { addressOf, aMember, anAlive, everybodyAcks, Machine } from "./machine.ts";

const NONE = new Uint8Array();

describe("a full exchange", () => {
  test("is asked of the members at the addresses that one joins by", () => {
    const machine = new Machine({ members: 1 });
    machine.give({ type: "join", addresses: [addressOf("m2"), { host: "0.0.0.0", port: 1 }] });
    const [asked, ...more] = machine.effects("pushPull");
    expect(more).toEqual([]);
    expect(asked).toMatchObject({ to: addressOf("m2"), state: { join: true } });
    expect(asked?.state.members.map(({ node }) => node)).toEqual(["m1"]);
    const state = { join: false, members: [aMember("m2"), aMember("m3")], userState: NONE };
    machine.give({ type: "pushPullAnswer", id: asked?.id ?? 0, state });
    expect(machine.membership.liveCount).toBe(3);
  });

  test("is answered with what was known before", () => {
    const machine = new Machine({ members: 2 });
    const [answer] = machine.hearState("m3", aMember("m3"));
    if (answer?.type !== "answerPushPull") throw new Error("the answer comes first");
    expect(answer.state.members.map(({ node }) => node)).toEqual(["m1", "m2"]);
    expect(machine.membership.liveCount).toBe(3);
  });

  test("is taken once: an answer that nobody waits for is not", () => {
    const machine = new Machine({ members: 1 });
    const state = { join: false, members: [aMember("m2")], userState: NONE };
    machine.give({ type: "pushPullAnswer", id: 1, state });
    machine.give({ type: "join", addresses: [addressOf("m2")] });
    machine.give({ type: "streamFailed", id: 1 });
    machine.give({ type: "pushPullAnswer", id: 1, state });
    expect(machine.membership.liveCount).toBe(1);
  });

  test("makes a member suspect that the peer calls dead, and leaves out one that left", () => {
    const machine = new Machine();
    machine.hearState("m5", aMember("m2", { state: "dead" }), aMember("m3", { state: "left" }));
    expect(machine.stateOf("m2")).toBe("suspect");
    expect(machine.stateOf("m3")).toBe("left");
    machine.run(1000);
    expect(machine.sent("suspect")[0]?.message.from).toBe("m1");
  });

  test("in which this member is dead makes it say that it is not", () => {
    const machine = new Machine();
    machine.hearState("m5", aMember("m1", { state: "dead", incarnation: 9 }));
    expect(machine.membership.self).toMatchObject({ state: "alive", incarnation: 10 });
  });

  test("brings the state of the application along", () => {
    const machine = new Machine({ members: 2 });
    machine.give({ type: "setUserState", userState: Uint8Array.of(1) });
    const state = { join: true, members: [], userState: Uint8Array.of(2) };
    const [answer, heard] = machine.give({ type: "pushPull", from: addressOf("m2"), state });
    expect(answer).toMatchObject({ state: { userState: Uint8Array.of(1) } });
    expect(heard).toEqual({ type: "userState", payload: Uint8Array.of(2), join: true });
  });

  test("comes once an interval with a member that is alive", () => {
    const machine = new Machine({ members: 9 });
    machine.hear("m3", { type: "dead", node: "m2", incarnation: 1, from: "m3" });
    machine.run(320_000, everybodyAcks(machine));
    const asked = machine.effects("pushPull");
    expect(asked.length).toBeGreaterThanOrEqual(9);
    expect(asked.length).toBeLessThanOrEqual(10);
    expect(asked.some(({ to }) => to.host === addressOf("m2").host)).toBe(false);
  });
});

describe("a member that is said to be far ahead of what is known of it", () => {
  const far = INCARNATION_JUMP_MAX + 2;
  const claim = () => anAlive("m2", { incarnation: far, meta: Uint8Array.of(1) });

  test("is asked where it is, once in an interval, and believed", () => {
    const machine = new Machine();
    machine.hear("m3", claim(), anAlive("m2", { incarnation: far + 1, address: addressOf("m9") }));
    const [asked, ...more] = machine.effects("pushPull");
    expect([asked?.to, more]).toEqual([addressOf("m2"), []]);
    const members = [aMember("m2", { incarnation: far }), aMember("m4", { incarnation: far })];
    const state = { join: false, members, userState: NONE };
    machine.give({ type: "pushPullAnswer", id: asked?.id ?? 0, state });
    expect(machine.membership.member("m2")?.incarnation).toBe(far);
    expect(machine.membership.member("m4")?.incarnation).toBe(1);
  });

  test("is nobody who is unknown, nor this member itself", () => {
    const machine = new Machine();
    const incarnation = 2 ** 32 - 1;
    machine.hear("m3", anAlive("m9", { incarnation }), anAlive("m1", { incarnation }));
    expect(machine.effects("pushPull")).toEqual([]);
  });

  test("is not believed beyond what anybody may begin with", () => {
    const machine = new Machine();
    machine.hear("m3", claim());
    const [asked] = machine.effects("pushPull");
    const members = [aMember("m2", { incarnation: INCARNATION_FIRST_MAX + 1 })];
    const state = { join: false, members, userState: NONE };
    machine.give({ type: "pushPullAnswer", id: asked?.id ?? 0, state });
    expect(machine.membership.member("m2")?.incarnation).toBe(1);
  });
});

describe("with orchd's preset a member", () => {
  test("that is alone asks where it once joined, again and again", () => {
    const machine = new Machine({ members: 1, preset: "orchd" });
    machine.give({ type: "join", addresses: [addressOf("m2")] });
    machine.run(61_000);
    expect(machine.effects("pushPull").length).toBeGreaterThanOrEqual(4);
    expect(machine.effects("pushPull").every(({ to }) => to.host === addressOf("m2").host)).toBe(
      true,
    );
  });

  test("goes on to look for the dead, each in turn", () => {
    const machine = new Machine({
      members: 5,
      preset: "orchd",
      tuning: { pushPullIntervalMs: 1e9 },
    });
    for (const node of ["m2", "m3", "m4"]) {
      machine.hear("m5", { type: "dead", node, incarnation: 1, from: "m5" });
    }
    machine.run(100_000, everybodyAcks(machine));
    expect(new Set(machine.effects("pushPull").map(({ to }) => to.host)).size).toBe(3);
  });

  test("does not look for those that left", () => {
    const machine = new Machine({
      members: 3,
      preset: "orchd",
      tuning: { pushPullIntervalMs: 1e9 },
    });
    machine.hear("m2", { type: "dead", node: "m2", incarnation: 1, from: "m2" });
    machine.run(100_000, everybodyAcks(machine));
    expect(machine.effects("pushPull")).toEqual([]);
  });
});

describe("leaving", () => {
  test("is told to the others, and over once it was told often enough", () => {
    const machine = new Machine();
    machine.give({ type: "leave" });
    expect(machine.effects("left")).toEqual([]);
    machine.run(5000);
    expect(machine.sent("dead").length).toBe(4);
    expect(machine.sent("dead")[0]?.message).toMatchObject({ node: "m1", from: "m1" });
    expect(machine.effects("left").length).toBe(1);
  });

  test("is over at once where nobody is", () => {
    const machine = new Machine({ members: 1 });
    machine.give({ type: "leave" });
    expect(machine.effects("left").length).toBe(1);
  });

  test("is for good: nothing makes this member alive again, and it probes nobody", () => {
    const machine = new Machine();
    machine.give({ type: "leave" });
    machine.hear("m2", { type: "suspect", node: "m1", incarnation: 5, from: "m2" });
    machine.hearState("m2", aMember("m1", { incarnation: 9 }));
    machine.run(60_000);
    expect(machine.membership.self.state).toBe("left");
    expect(machine.sent("ping")).toEqual([]);
    expect(machine.sent("alive")).toEqual([]);
  });
});

describe("what the application says", () => {
  test("reaches the others as it is, and comes from them", () => {
    const machine = new Machine();
    const payload = Uint8Array.of(1, 2, 3);
    machine.give({ type: "broadcast", payload });
    machine.run(3000);
    expect(machine.sent("user").map(({ message }) => message.payload)).toEqual(
      Array(4).fill(payload),
    );
    const [heard] = machine.hear("m2", { type: "user", payload });
    expect(heard).toEqual({ type: "user", from: addressOf("m2"), payload });
  });

  test("as meta of this member raises its incarnation; too much of it is refused", () => {
    const machine = new Machine();
    machine.give({ type: "setMeta", meta: Uint8Array.of(9) });
    machine.give({ type: "setMeta", meta: new Uint8Array(513) });
    expect(machine.membership.self).toMatchObject({ incarnation: 2, meta: Uint8Array.of(9) });
    expect(machine.effects("ignored").map(({ why }) => why)).toEqual(["meta"]);
  });
});
