import { describe, expect, test } from "bun:test";
import { Roster } from "../../../../src/core/gossip/roster.ts";
import { TimerQueue } from "../../../../src/core/gossip/timer-queue.ts";
import { randomBelow, seededRandom } from "../../../../src/lib/random.ts";
import { aMember } from "./machine.ts";

function aRoster(count: number): Roster {
  const roster = new Roster("m1", seededRandom("roster"));
  for (let i = 1; i <= count; i++) roster.put(aMember(`m${i}`));
  return roster;
}

describe("the roster", () => {
  test("gives nobody where only this member is", () => {
    const roster = aRoster(1);
    expect(roster.nextToProbe()).toBeUndefined();
    expect(roster.pick(3, () => true)).toEqual([]);
    expect(roster.pickForGossip(3, 0)).toEqual([]);
  });

  test("draws different members, never this one", () => {
    const roster = aRoster(5);
    for (let i = 0; i < 200; i++) {
      const names = roster.pick(3, ({ node }) => node !== "m2").map(({ node }) => node);
      expect(names.length).toBe(3);
      expect(new Set(names).size).toBe(3);
      expect(names.some((name) => name === "m1" || name === "m2")).toBe(false);
    }
  });

  test("draws the dead for gossip for a while, and never those that left", () => {
    const roster = aRoster(4);
    roster.put(aMember("m2", { state: "dead", since: 1000 }));
    roster.put(aMember("m3", { state: "left", since: 1000 }));
    const names = (deadSince: number) =>
      new Set(
        Array.from({ length: 50 }, () => roster.pickForGossip(1, deadSince)).flatMap((picked) =>
          picked.map(({ node }) => node),
        ),
      );
    expect(names(500)).toEqual(new Set(["m2", "m4"]));
    expect(names(1500)).toEqual(new Set(["m4"]));
  });

  test("still comes to each live member once in a round while others come and go", () => {
    const random = seededRandom("churn");
    const roster = aRoster(30);
    const lastSeen = new Map<string, number>();
    for (let step = 1; step < 20_000; step++) {
      const name = `m${2 + randomBelow(random, 40)}`;
      const known = roster.get(name);
      // One member of seven changes at most, so that those that stay can be watched.
      if (step % 7 === 0 && !name.endsWith("5")) {
        if (known === undefined) roster.put(aMember(name));
        else if (known.state === "alive") roster.put({ ...known, state: "dead" });
        else if (randomBelow(random, 2) === 0) roster.forget(name);
        else roster.put({ ...known, state: "alive" });
      }
      const probed = roster.nextToProbe();
      expect(probed === undefined || roster.get(probed.node)?.state === "alive").toBe(true);
      if (probed !== undefined) lastSeen.set(probed.node, step);
      // Twice the number of all members that there ever are bounds the gap.
      for (const steady of ["m5", "m15", "m25"]) {
        expect(step - (lastSeen.get(steady) ?? 0)).toBeLessThan(2 * 41);
      }
    }
    const live = [...roster.all()].filter(({ state }) => state === "alive").length;
    expect(roster.liveCount).toBe(live);
  });

  test("gives each dead member in turn", () => {
    const roster = aRoster(5);
    for (const name of ["m2", "m3"]) roster.put(aMember(name, { state: "dead" }));
    roster.put(aMember("m4", { state: "left" }));
    const names = [1, 2, 3, 4].map(() => roster.nextDead()?.node);
    expect(names).toEqual(["m2", "m3", "m2", "m3"]);
  });
});

test("timers come in order of time, then in the order set, cancelled ones never", () => {
  const random = seededRandom("timers");
  const queue = new TimerQueue<string>();
  const expected: { at: number; order: number }[] = [];
  for (let order = 0; order < 2000; order++) {
    const at = randomBelow(random, 300);
    const timer = queue.add(at, `${at}/${order}`);
    if (order % 3 === 0) queue.cancel(timer);
    else expected.push({ at, order });
  }
  expected.sort((a, b) => a.at - b.at || a.order - b.order);
  const taken: string[] = [];
  for (let now = 0; now <= 300; now++) {
    for (let value = queue.takeDue(now); value !== undefined; value = queue.takeDue(now)) {
      taken.push(value);
    }
  }
  expect(taken).toEqual(expected.map(({ at, order }) => `${at}/${order}`));
  expect(queue.nextAt()).toBeUndefined();
});
