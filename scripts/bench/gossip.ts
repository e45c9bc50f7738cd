import { PRESETS, type Tuning } from "../../src/core/gossip/tuning.ts";
import {
  detectionBoundMs,
  measureCrashes,
  medianOf,
  type Detection,
} from "../../tests/sim/gossip/experiments.ts";
import { one, type Figure } from "./figure.ts";

const MEMBERS = 128;
const CRASHES = 20;
const seed = "bench";

/**
 * Medians of real memberlist 0.2.2, 128 members in one process, 20 crashes: from a crash until the
 * first member and until all know of it, in seconds, by the multiplier of the suspicion.
 */
const MEMBERLIST = [
  { suspicionMult: 5, first: 12.5, full: 12.9 },
  { suspicionMult: 4, first: 10.8, full: 11.2 },
  { suspicionMult: 2, first: 5.9, full: 6.4 },
] as const;

/** Simulated in virtual time: memberlist's constants against memberlist itself, then our own. */
export async function benchGossip(): Promise<Figure[]> {
  const calibrated = MEMBERLIST.flatMap(({ suspicionMult, first, full }) => {
    const confirmations = Math.max(0, suspicionMult - 2);
    const tuning: Tuning = { ...PRESETS.lan, suspicionMult, confirmations };
    const found = measureCrashes({ seed, members: MEMBERS, tuning, crashes: CRASHES });
    const what = `simulated memberlist, suspicion x ${suspicionMult}: a crash until`;
    return [
      against(`${what} the first knows`, medianOf(found, "firstMs") / 1000, first),
      against(`${what} all know`, medianOf(found, "fullMs") / 1000, full),
    ];
  });
  const own = measureCrashes({
    seed,
    members: MEMBERS,
    crashes: CRASHES,
    tuning: PRESETS.orchd,
  });
  const all = one("orchd's preset, 128 members: a crash until all know", seconds(own), "s");
  const wrong = own.reduce((sum, { falsePositives }) => sum + falsePositives, 0);
  return [
    ...calibrated,
    { ...all, limit: 4 },
    { ...one("orchd's preset: members called dead that live", wrong, ""), limit: 0 },
    ...[1000, 5000].map((members) => large(members)),
  ];
}

function seconds(found: readonly Detection[]): number {
  return medianOf(found, "fullMs") / 1000;
}

/** The deviation from the real one, which should be 5 % at most. */
function against(what: string, value: number, real: number): Figure {
  const percent = Math.abs(value / real - 1) * 100;
  const reference = `${value.toFixed(2)} s, real memberlist ${real} s`;
  return { ...one(`${what}: off by`, percent, "%"), limit: 5, reference };
}

function large(members: number): Figure {
  const tuning = PRESETS.lan;
  const crashes = members > 1000 ? 1 : 3;
  const found = measureCrashes({ seed, members, tuning, crashes });
  const value = Math.max(...found.map(({ most99Ms }) => most99Ms)) / 1000;
  const limit = detectionBoundMs(tuning, members) / 1000;
  const what = `${members} members, memberlist's constants: 99 in 100 know of a crash`;
  return { ...one(what, value, "s"), limit: Number(limit.toFixed(2)) };
}
