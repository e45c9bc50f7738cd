import { describe, expect, test } from "bun:test";
import { INCARNATION_JUMP_MAX } from "../../../src/core/gossip/limits.ts";
import {
  CLUSTER_TUNINGS,
  PRESETS,
  suspicionMinMs,
  type Tuning,
} from "../../../src/core/gossip/tuning.ts";
import { GOSSIP_PRESETS } from "../../../src/model/gossip-preset.ts";
import { newId } from "../../../src/lib/ids.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { detectionBoundMs, measureCrash, measureCrashes, medianOf } from "./experiments.ts";
import { GOSSIP_BUGS } from "./gossip-bugs.ts";
import { GossipWorld } from "./gossip-world.ts";
import { measureSlow } from "./slow-members.ts";
import { runSuffering } from "./suffering.ts";

const FIXED_SEEDS = 120;
const LIFEGUARD = { ...PRESETS.lan, suspicionMult: 5, confirmations: 3 };
const SWIM = { ...LIFEGUARD, suspicionMaxMult: 1, awarenessMax: 1 };

function verdictOf(seed: string): string {
  const { broken } = runSuffering(seed);
  if (broken === undefined) return "kept every invariant";
  return `seed ${seed}: ${broken.invariant}: ${broken.text}`;
}

describe("members that crash, stall, are cut off, leave and come back", () => {
  test("keep every invariant, and agree again", () => {
    const seeds = Array.from({ length: FIXED_SEEDS }, (_, i) => `fixed ${i}`);
    const verdicts = seeds.map(verdictOf).filter((verdict) => verdict !== "kept every invariant");
    expect(verdicts).toEqual([]);
  });

  test("also with a seed that nobody has seen before", () => {
    const seed = process.env["SEED"] ?? newId<"seed">(systemRandom);
    console.log(`fresh seed: ${seed} (again: SEED=${seed})`);
    expect(verdictOf(seed)).toBe("kept every invariant");
  });

  test("do all of that in these runs", () => {
    const deeds = new Set<string>();
    for (let i = 0; i < 20; i++) {
      for (const deed of runSuffering(`fixed ${i}`).deeds.keys()) deeds.add(deed);
    }
    const all = ["blocked", "crash", "leave", "meta", "partition", "paused", "restart", "unaware"];
    expect([...deeds].sort()).toEqual(all);
  });

  test("do the same each time for one seed, and something else for another", () => {
    const [one, again, other] = ["a", "a", "b"].map((seed) => runSuffering(seed).hash);
    expect(again).toBe(one ?? "");
    expect(other).not.toBe(one);
  });
});

describe("a fault that is put in is found", () => {
  for (const bug of GOSSIP_BUGS) {
    test(bug.name, () => {
      const found = new Set<string>();
      for (let i = 0; i < 40 && found.size === 0; i++) {
        const { broken } = runSuffering(`bug ${i}`, bug);
        if (broken !== undefined) found.add(broken.invariant);
      }
      expect(found.size).toBe(1);
      expect(bug.breaks).toContain([...found][0] as never);
    });
  }
});

describe("a crash among 32 members", () => {
  test("is known to all after a probe, the suspicion and some gossip", () => {
    const crashes = measureCrashes({ seed: "32", members: 32, tuning: LIFEGUARD, crashes: 30 });
    const least = suspicionMinMs(LIFEGUARD, 32) + LIFEGUARD.probeIntervalMs;
    expect(medianOf(crashes, "firstMs")).toBeGreaterThan(least);
    expect(medianOf(crashes, "firstMs")).toBeLessThan(least + 1500);
    expect(medianOf(crashes, "fullMs")).toBeLessThan(least + 2000);
    expect(crashes.reduce((sum, { falsePositives }) => sum + falsePositives, 0)).toBe(0);
  });

  test("is known to all within 4 s with orchd's preset", () => {
    for (const members of [2, 3, 5, 32]) {
      const options = { seed: `orchd ${members}`, members, tuning: PRESETS.orchd, crashes: 30 };
      const crashes = measureCrashes(options);
      expect(medianOf(crashes, "fullMs")).toBeLessThan(4000);
    }
  });
});

describe("slow members", () => {
  const run = (tuning: typeof LIFEGUARD, slowness: "blocked" | "unaware" | "paused") =>
    measureSlow({
      seed: "slow",
      members: 64,
      tuning,
      slow: 16,
      blockedMs: 16_384,
      freeMs: 64,
      durationMs: 60_000,
      slowness,
    });

  test("make SWIM call others dead, Lifeguard hardly, and orchd's preset neither", () => {
    const swim = run(SWIM, "blocked");
    const lifeguard = run(LIFEGUARD, "blocked");
    expect(swim.falsePositives).toBeGreaterThan(50);
    expect(lifeguard.falsePositives).toBeLessThan(0.05 * swim.falsePositives);
    for (const slowness of ["blocked", "unaware", "paused"] as const) {
      const orchd = run(PRESETS.orchd, slowness);
      expect(orchd.falsePositives).toBe(0);
      expect(orchd.bytesPerMemberSecond).toBeLessThan(1.5 * lifeguard.bytesPerMemberSecond);
    }
  });
});

describe("a slow member that is free for a moment", () => {
  const wrongWith = (backlogMs: number) =>
    measureSlow({
      seed: "moment",
      members: 32,
      tuning: SWIM,
      slow: 8,
      blockedMs: 2048,
      freeMs: 1,
      durationMs: 30_000,
      slowness: "blocked",
      backlogMs,
    }).falsePositives;

  test("calls others dead when it can't read all that waited, acks among it", () => {
    expect(wrongWith(0)).toBe(0);
    expect(wrongWith(0.2)).toBeGreaterThan(10);
  });
});

describe("an accusation that one member alone hears", () => {
  test("as far ahead as it may be, parts it from nobody", () => {
    const options = { seed: "accused", members: 16, tuning: PRESETS.orchd };
    const world = new GossipWorld(options);
    world.run(2000);
    const [victim, liar] = world.members;
    if (victim === undefined || liar === undefined) throw new Error("there are sixteen");
    const accuse = (jump: number) => {
      const { incarnation } = victim.membership.self;
      const accusation = { type: "dead", node: victim.name, from: liar.name } as const;
      const messages = [{ ...accusation, incarnation: incarnation + jump }];
      world.give(victim, { type: "packet", from: liar.address, messages });
    };
    for (let i = 0; i < 3; i++) accuse(INCARNATION_JUMP_MAX);
    world.run(20_000);
    const { incarnation } = victim.membership.self;
    expect(incarnation).toBeGreaterThan(3 * INCARNATION_JUMP_MAX);
    const known = world.members.map(({ membership }) => membership.member(victim.name));
    expect(known.map((one) => `${one?.state} ${one?.incarnation}`)).toEqual(
      known.map(() => `alive ${incarnation}`),
    );
  });
});

describe("a cluster that was parted for longer than memberlist remembers the dead", () => {
  /** How many of its members each side counts at last, and how many of all everybody does then. */
  const partedWith = (tuning: Tuning) => {
    const world = new GossipWorld({ seed: "parted", members: 12, tuning });
    const counts = () => {
      return new Set(world.members.map(({ membership }) => membership.liveCount));
    };
    world.run(2000);
    for (const member of world.members.slice(0, 6)) member.side = 1;
    world.run(600_000);
    const parted = counts();
    for (const member of world.members) member.side = 0;
    world.run(900_000);
    return { parted, together: counts() };
  };

  for (const preset of GOSSIP_PRESETS) {
    test(`is one again, whatever people chose: ${preset}`, () => {
      const { parted, together } = partedWith(CLUSTER_TUNINGS[preset]);
      expect([[...parted], [...together]]).toEqual([[6], [12]]);
    });
  }

  test("stays parted with memberlist's numbers alone", () => {
    const { parted, together } = partedWith(PRESETS.wan);
    expect([[...parted], [...together]]).toEqual([[6], [6]]);
  });
});

describe("a larger cluster", () => {
  test("tells of a crash within the bound of the SWIM paper", () => {
    for (const members of [50, 400]) {
      const { detection } = measureCrash({ seed: "bound", members, tuning: PRESETS.orchd });
      expect(detection.most99Ms).toBeLessThan(detectionBoundMs(PRESETS.orchd, members));
    }
  });

  test("costs each member the same traffic", () => {
    const bytesOf = (members: number) => {
      const world = new GossipWorld({ seed: "quiet", members, tuning: PRESETS.orchd });
      world.run(20_000);
      return world.members.reduce((sum, { packetBytes }) => sum + packetBytes, 0) / members / 20;
    };
    expect(bytesOf(400)).toBeLessThan(1.1 * bytesOf(10));
  });

  test("sees nobody die that lives while a tenth of the packets get lost", () => {
    let falsePositives = 0;
    const world = new GossipWorld({
      seed: "loss",
      members: 64,
      tuning: PRESETS.orchd,
      loss: 0.1,
      onChange: ({ after }) => (falsePositives += after?.state === "dead" ? 1 : 0),
    });
    world.run(60_000);
    expect(falsePositives).toBe(0);
  });
});
