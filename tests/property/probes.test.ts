import { describe, expect, test } from "bun:test";
import { beginProbes, dueRoles, withResult } from "../../src/core/probe/task-probes.ts";
import { randomBelow, seededRandom, type Random } from "../../src/lib/random.ts";
import { gatesTraffic, PROBE_ROLES, type EffectiveProbes } from "../../src/model/probe.ts";
import type { Probe, ProbeRole } from "../../src/model/probe.ts";
import { aProbe } from "../builders.ts";

const WORLDS = 400;
const STEPS = 300;

function drawProbe(random: Random): Probe {
  const isCommand = random.next() < 0.5;
  return aProbe({
    check: isCommand ? { type: "exec", command: ["x"] } : { type: "tcp", port: 80 },
    intervalMs: 100 + randomBelow(random, 20_000),
    failures: 1 + randomBelow(random, 5),
    successes: 1 + randomBelow(random, 3),
    startPeriodMs: random.next() < 0.5 ? 0 : randomBelow(random, 60_000),
    startIntervalMs: 100 + randomBelow(random, 5000),
  });
}

function drawProbes(random: Random): EffectiveProbes {
  const roles = PROBE_ROLES.filter(() => random.next() < 0.5);
  const chosen: readonly ProbeRole[] = roles.length === 0 ? ["healthcheck"] : roles;
  return Object.fromEntries(chosen.map((role) => [role, drawProbe(random)]));
}

/** What is known of one probe besides what the code under test says. */
interface Seen {
  failuresInRow: number;
  successesInRow: number;
  hasPassed: boolean;
  endedAt: number;
}

function newSeen(): Seen {
  return { failuresInRow: 0, successesInRow: 0, hasPassed: false, endedAt: -1 };
}

describe("whatever tasks answer", () => {
  for (let world = 0; world < WORLDS; world++) {
    const seed = `probes/${world}`;
    // One test for each world would drown the others' names.
    if (world % 100 !== 0) continue;
    test(`their probes keep to the rules, in the worlds from ${seed} on`, () => {
      for (let i = world; i < world + 100; i++) play(`probes/${i}`);
    });
  }
});

function play(seed: string): void {
  const random = seededRandom(seed);
  const probes = drawProbes(random);
  const mood = random.next();
  const health = gatesTraffic(probes) ? "starting" : "none";
  const beginning = { now: 0, since: 0, phase: random.next(), isNew: true, health } as const;
  let task = beginProbes(probes, beginning);
  let now = 0;
  let lastTold: string | undefined;
  const seen = new Map<ProbeRole, Seen>();
  for (let step = 0; step < STEPS; step++) {
    const [next] = dueRoles(task, new Set());
    if (next === undefined) break;
    now = Math.max(now, next.at);
    const { role } = next;
    const known = seen.get(role) ?? newSeen();
    seen.set(role, known);
    expect(next.at, seed).toBeGreaterThan(known.endedAt);
    // Nobody is asked anything else before it has started.
    if (probes.startup !== undefined && role !== "startup") {
      expect(seen.get("startup")?.hasPassed, seed).toBe(true);
    }
    const ok = random.next() < mood;
    known.failuresInRow = ok ? 0 : known.failuresInRow + 1;
    known.successesInRow = ok ? known.successesInRow + 1 : 0;
    known.hasPassed ||= known.successesInRow >= (probes[role]?.successes ?? 0);
    const startedAt = now;
    now += randomBelow(random, 50);
    known.endedAt = now;
    const after = withResult(task, role, { ok, output: "" }, { startedAt, now });
    task = after.task;
    const { news } = after;
    if (news === undefined) continue;
    const told = JSON.stringify(news);
    expect(told, seed).not.toBe(lastTold);
    lastTold = told;
    if (news.ending) {
      expect(role, seed).not.toBe("ready");
      expect(known.failuresInRow, seed).toBeGreaterThanOrEqual(probes[role]?.failures ?? Infinity);
      expect(dueRoles(task, new Set()), seed).toEqual([]);
    }
    if (news.health === "healthy") expect(ok, seed).toBe(true);
    if (news.health === "unhealthy") expect(ok, seed).toBe(false);
  }
}
