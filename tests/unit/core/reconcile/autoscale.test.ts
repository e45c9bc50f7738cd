import { describe, expect, test } from "bun:test";
import { decideScale, type Recommendation } from "../../../../src/core/reconcile/autoscale.ts";
import type { Measurement } from "../../../../src/core/reconcile/measurements.ts";
import type { AutoscalePolicy } from "../../../../src/model/autoscale.ts";
import { seededRandom } from "../../../../src/lib/random.ts";

const EVERY_MS = 10_000;

function aPolicy(over: Partial<AutoscalePolicy> = {}): AutoscalePolicy {
  return {
    min: 1,
    max: 10,
    cpuPercent: 70,
    up: { windowMs: 0, step: 4 },
    down: { windowMs: 300_000, step: 0 },
    ...over,
  };
}

function cpu(...ratios: number[]): Measurement {
  return { metric: "cpu", ratios };
}

/** Follows ratios of a single metric, one look every ten seconds, from `current` on. */
function follow(ratios: readonly number[][], current: number, policy = aPolicy()): number[] {
  let history: Recommendation[] = [];
  let replicas = current;
  return ratios.map((measured, i) => {
    const decision = decideScale({
      policy,
      current: replicas,
      measurements: [cpu(...measured)],
      history,
      now: 1_000_000 + i * EVERY_MS,
    });
    ({ history, replicas } = decision);
    return replicas;
  });
}

function decide(current: number, measurements: Measurement[], policy = aPolicy()) {
  return decideScale({ policy, current, measurements, history: [], now: 0 });
}

describe("the number of tasks follows what they have to do", () => {
  test("tasks at 140 % of what is wanted become more at once", () => {
    const { replicas, reason } = decide(2, [cpu(1.4, 1.4)]);
    expect(replicas).toBe(3);
    expect(reason).toBe("cpu is at 140 % of what is wanted: 2 -> 3 tasks");
  });

  test("a tenth more or less moves nothing", () => {
    expect(decide(4, [cpu(1.1, 1.1, 1.1, 1.1)]).replicas).toBe(4);
    expect(
      follow(
        Array.from({ length: 40 }, () => [0.9, 0.9, 0.9, 0.9]),
        4,
      ).at(-1),
    ).toBe(4);
  });

  test("a lull has to last for the whole window before tasks end", () => {
    const lull = Array.from({ length: 35 }, () => [0.2, 0.2, 0.2, 0.2]);
    const seen = follow(lull, 4);
    expect(seen.indexOf(1)).toBe(300_000 / EVERY_MS);
    const peak = lull.with(10, [1, 1, 1, 1]);
    expect(follow(peak, 4).every((replicas) => replicas === 4)).toBe(true);
  });

  test("a step up is bounded, and may always double", () => {
    expect(decide(2, [cpu(9, 9)], aPolicy({ max: 100 })).replicas).toBe(6);
    expect(decide(20, [cpu(...Array<number>(20).fill(9))], aPolicy({ max: 100 })).replicas).toBe(
      40,
    );
  });

  test("a step down is bounded where the file says so", () => {
    const policy = aPolicy({ down: { windowMs: 0, step: 1 } });
    expect(follow([[0.1, 0.1, 0.1, 0.1], [0.1], [0.1]], 4, policy)[0]).toBe(3);
  });

  test("the metric that asks for the most tasks counts", () => {
    const { replicas, reason } = decide(2, [cpu(0.5, 0.5), { metric: "memory", ratios: [2, 2] }]);
    expect(replicas).toBe(4);
    expect(reason).toStartWith("memory is at 200 %");
  });

  test("a task that was not measured is idle when more are wanted, right when fewer are", () => {
    expect(decide(4, [cpu(2)]).replicas).toBe(4);
    expect(decide(4, [cpu(3, 3, 3)]).replicas).toBe(8);
    const policy = aPolicy({ down: { windowMs: 0, step: 0 } });
    expect(decide(4, [cpu(0.1)], policy).replicas).toBe(4);
    expect(decide(4, [cpu(0.1, 0.1)], policy).replicas).toBe(3);
  });

  test("nothing measured moves nothing, but for the bounds", () => {
    expect(decide(2, [cpu()]).replicas).toBe(2);
    expect(decide(2, [], aPolicy({ min: 3 })).replicas).toBe(3);
    expect(decide(20, []).replicas).toBe(10);
  });

  test("a clock that is set by a day either way is no lull", () => {
    const history = [{ at: 86_400_000, replicas: 1 }];
    for (const now of [86_400_000 * 2, 1000]) {
      const look = { policy: aPolicy(), current: 4, measurements: [cpu(0.1, 0.1, 0.1, 0.1)] };
      const decision = decideScale({ ...look, history, now });
      expect(decision.replicas).toBe(4);
      expect(decision.history).toEqual([{ at: now, replicas: 1 }]);
    }
  });

  test("whatever is measured, the bounds hold and the history stays short", () => {
    const random = seededRandom("autoscale");
    let history: Recommendation[] = [];
    let current = 3;
    const policy = aPolicy({ min: 2, max: 9 });
    for (let i = 0; i < 2000; i++) {
      const ratios = Array.from({ length: 1 + Math.floor(random.next() * current) }, () =>
        random.next() < 0.1 ? random.next() * 1e9 : random.next() * 2,
      );
      const now = i * EVERY_MS;
      const decision = decideScale({
        policy,
        current,
        measurements: [cpu(...ratios)],
        history,
        now,
      });
      ({ history, replicas: current } = decision);
      expect(current).toBeWithin(2, 10);
      expect(history.length).toBeLessThan(40);
    }
  });
});
