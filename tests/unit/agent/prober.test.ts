import { describe, expect, test } from "bun:test";
import { Prober } from "../../../src/agent/prober.ts";
import type { CheckResult } from "../../../src/core/probe/probe-state.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { TaskId } from "../../../src/model/ids.ts";
import type { Check } from "../../../src/model/probe.ts";
import { anId, aProbe } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** A prober whose checks do as the test says, in virtual time. */
function aProber(check: (taskId: TaskId, signal: AbortSignal) => Promise<CheckResult>) {
  const clock = new VirtualClock(0);
  const world = { asked: [] as number[], told: [] as string[], atOnce: 0 };
  let running = 0;
  const unwanted = new Set<TaskId>();
  const prober = new Prober({
    clock,
    random: seededRandom("prober"),
    check: async (taskId, _, signal) => {
      world.asked.push(clock.now());
      world.atOnce = Math.max(world.atOnce, ++running);
      try {
        return await check(taskId, signal);
      } finally {
        running -= 1;
      }
    },
    isWanted: (taskId) => !unwanted.has(taskId),
    onNews: (_, { health, message }) => world.told.push([health, message].join(" ").trim()),
  });
  const pass = async (ms: number) => {
    await settled();
    const until = clock.now() + ms;
    while (await clock.step(until));
  };
  return { prober, world, pass, unwanted };
}

const found = { ranMs: 0, isNew: false, health: "healthy" } as const;
const fresh = { ranMs: 0, isNew: true, health: "starting" } as const;
const fine = { ok: true, output: "" };
const EXEC: Check = { type: "exec", command: ["x"] };

describe("tasks that are followed", () => {
  test("are asked at their interval, spread over it", async () => {
    const { prober, world, pass } = aProber(async () => fine);
    const probe = aProbe({ intervalMs: 10_000 });
    for (let i = 0; i < 200; i++) prober.follow(anId(`t${i}`), { ready: probe }, found);
    await pass(10_000);
    expect(world.asked).toHaveLength(200);
    const inEachSecond = Array.from({ length: 10 }, (_, second) => {
      return world.asked.filter((at) => Math.floor(at / 1000) === second).length;
    });
    expect(Math.max(...inEachSecond)).toBeLessThan(40);
    await pass(10_000);
    expect(world.asked).toHaveLength(400);
  });

  test("are asked no more when they are forgotten, not wanted or all is over", async () => {
    const { prober, world, pass, unwanted } = aProber(async () => fine);
    const probe = aProbe({ intervalMs: 1000 });
    for (const name of ["a", "b", "c"]) prober.follow(anId(name), { ready: probe }, found);
    prober.follow(anId("a"), { ready: probe }, found);
    await pass(1000);
    expect(world.asked).toHaveLength(3);
    prober.forget(anId("a"));
    unwanted.add(anId("b"));
    await pass(1000);
    expect(world.asked).toHaveLength(4);
    prober.close();
    await pass(5000);
    expect(world.asked).toHaveLength(4);
  });

  test("that hang are given up in time, and told of", async () => {
    const { prober, world, pass } = aProber((_, signal) => {
      const { promise, resolve } = Promise.withResolvers<CheckResult>();
      signal.addEventListener("abort", () => resolve({ ok: false, output: "so far" }));
      return promise;
    });
    const probe = aProbe({ intervalMs: 1000, timeoutMs: 2000, failures: 2 });
    prober.follow(anId("a"), { ready: probe }, found);
    await pass(10_000);
    expect(world.told).toEqual(["unhealthy not ready: no answer within 2000 ms: so far"]);
  });

  test("whose check can't even be given up cost their place for a short time only", async () => {
    const { prober, world, pass } = aProber(() => new Promise<CheckResult>(() => {}));
    const probe = aProbe({ check: EXEC, intervalMs: 1000, timeoutMs: 1000, failures: 1 });
    for (let i = 0; i < 20; i++) prober.follow(anId(`t${i}`), { ready: probe }, found);
    await pass(30_000);
    expect(world.told.length).toBe(20);
  });

  test("run no more than eight commands at once, and each gets its turn", async () => {
    const { prober, world, pass } = aProber(async (_, signal) => {
      const { promise, resolve } = Promise.withResolvers<CheckResult>();
      signal.addEventListener("abort", () => resolve({ ok: false, output: "" }));
      return promise;
    });
    const probe = aProbe({ check: EXEC, intervalMs: 100, timeoutMs: 500, failures: 1000 });
    for (let i = 0; i < 40; i++) prober.follow(anId(`t${i}`), { ready: probe }, found);
    await pass(2600);
    expect(world.atOnce).toBe(8);
    expect(world.asked.length).toBeGreaterThanOrEqual(40);
  });

  test("of which a check can't be made are left as they are", async () => {
    const { prober, world, pass } = aProber(() => Promise.reject(new Error("no runtime")));
    const probe = aProbe({ intervalMs: 1000, failures: 1 });
    prober.follow(anId("a"), { ready: probe, live: probe }, found);
    prober.follow(anId("b"), { healthcheck: probe }, fresh);
    await pass(20_000);
    expect(world.told).toEqual(["starting it can't be checked: no runtime"]);
  });

  test("are never asked the same thing twice at once", async () => {
    const waiting: (() => void)[] = [];
    const { prober, world, pass } = aProber(async () => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return fine;
    });
    const probe = aProbe({ intervalMs: 100 });
    prober.follow(anId("a"), { ready: probe, live: probe }, found);
    await pass(1000);
    expect(world.atOnce).toBe(2);
    for (const go of waiting.splice(0)) go();
    await pass(1000);
    expect(world.atOnce).toBe(2);
    expect(world.asked).toHaveLength(4);
  });
});
