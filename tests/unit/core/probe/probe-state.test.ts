import { describe, expect, test } from "bun:test";
import { afterCheck, beginProbe, resumeProbe } from "../../../../src/core/probe/probe-state.ts";
import type { ProbeState } from "../../../../src/core/probe/probe-state.ts";
import type { Check } from "../../../../src/model/probe.ts";
import { aProbe } from "../../../builders.ts";

const EXEC: Check = { type: "exec", command: ["true"] };

/** Asks until `until`, each check taking no time; answers when it was asked and what came of it. */
function ask(probe: ReturnType<typeof aProbe>, isWell: (at: number) => boolean, until: number) {
  let state = beginProbe(probe, 0, 0);
  const asked: number[] = [];
  const verdicts: [number, ProbeState["verdict"]][] = [];
  while (state.dueAt <= until) {
    const now = state.dueAt;
    const next = afterCheck(probe, state, isWell(now), { startedAt: now, now, phase: 0.5 });
    if (next.verdict !== state.verdict) verdicts.push([Math.round(now), next.verdict]);
    asked.push(Math.round(now));
    state = next;
  }
  return { asked, verdicts };
}

describe("a probe", () => {
  test("asks a new task early, less and less often, and passes it at the first success", () => {
    const { asked, verdicts } = ask(aProbe({ intervalMs: 10_000 }), (at) => at >= 300, 1000);
    expect(asked.slice(0, 4)).toEqual([20, 40, 60, 80]);
    expect(verdicts).toEqual([[322, "passing"]]);
  });

  test("that is a command asks far less often", () => {
    const { asked } = ask(aProbe({ check: EXEC, intervalMs: 30_000 }), () => false, 29_999);
    expect(asked).toEqual([
      500, 1000, 1500, 2250, 3375, 5063, 7595, 11_393, 16_393, 21_393, 26_393,
    ]);
  });

  test("counts failures from one interval after the start on, as Docker does", () => {
    const probe = aProbe({ check: EXEC, intervalMs: 30_000, failures: 3 });
    expect(ask(probe, () => false, 200_000).verdicts).toEqual([[90_000, "failing"]]);
  });

  test("does not count failures within the start period", () => {
    const probe = aProbe({ intervalMs: 1000, startPeriodMs: 60_000, failures: 3 });
    expect(ask(probe, () => false, 200_000).verdicts).toEqual([[62_000, "failing"]]);
    expect(ask(probe, (at) => at > 59_000, 100_000).verdicts).toEqual([[60_000, "passing"]]);
  });

  test("counts failures at once after the first success, even in the start period", () => {
    const probe = aProbe({ intervalMs: 1000, startPeriodMs: 60_000, failures: 3 });
    const { verdicts } = ask(probe, (at) => at < 100, 100_000);
    expect(verdicts).toEqual([
      [20, "passing"],
      [2770, "failing"],
    ]);
  });

  test("needs as many successes in a row as it says", () => {
    const probe = aProbe({ intervalMs: 1000, successes: 3 });
    expect(ask(probe, () => true, 10_000).verdicts).toEqual([[2020, "passing"]]);
    const flapping = ask(probe, (at) => Math.round(at / 1000) % 2 === 0, 20_000);
    expect(flapping.verdicts).toEqual([]);
  });

  test("that fails and passes again changes its verdict each time", () => {
    const probe = aProbe({ intervalMs: 1000, failures: 2, successes: 2 });
    const { verdicts } = ask(probe, (at) => at < 5000 || at > 10_000, 20_000);
    expect(verdicts.map(([, verdict]) => verdict)).toEqual(["passing", "failing", "passing"]);
  });

  test("of a task that was known keeps its verdict and is asked within an interval", () => {
    const probe = aProbe({ intervalMs: 10_000, failures: 2 });
    const resumed = resumeProbe(probe, "passing", { now: 500, phase: 0.25 });
    expect(resumed).toMatchObject({ verdict: "passing", dueAt: 3000 });
    const once = afterCheck(probe, resumed, false, { startedAt: 3000, now: 3000, phase: 0.25 });
    expect(once).toMatchObject({ verdict: "passing", failures: 1, dueAt: 13_000 });
    const twice = afterCheck(probe, once, false, { startedAt: 13_000, now: 13_000, phase: 0.25 });
    expect(twice.verdict).toBe("failing");
  });

  test("waits for its interval after a check that took long", () => {
    const probe = aProbe({ intervalMs: 1000 });
    const state = resumeProbe(probe, "passing", { now: 0, phase: 0 });
    const next = afterCheck(probe, state, true, { startedAt: 0, now: 5000, phase: 0 });
    expect(next.dueAt).toBe(6000);
  });
});
