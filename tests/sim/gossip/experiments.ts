import { suspicionMinMs, type Tuning } from "../../../src/core/gossip/tuning.ts";
import { GossipWorld, type SimulatedMember } from "./gossip-world.ts";

/** What a crash looks like from the others. */
export interface Detection {
  /** From the crash until the first member says so, and until the last one does. */
  firstMs: number;
  fullMs: number;
  /** Until 99 in 100 members know. */
  most99Ms: number;
  falsePositives: number;
}

export interface KillOptions {
  seed: string;
  members: number;
  tuning: Tuning;
  /** Each in a cluster of its own. */
  crashes: number;
}

/** Probes that never come to a member are a matter of chance: 1 in 100 waits longer than this. */
const PERIODS_UNTIL_PROBED = Math.ceil(Math.log(100));
/** With this factor gossip leaves out less than one of n squared (SWIM, section 4.1). */
const LAMBDA = 2;

/**
 * By when 99 in 100 members know of a crash, by the SWIM paper. Each period a member is probed by
 * nobody with probability `(1 - 1/n)^n`, about 1/e (section 3), so in 99 of 100 cases it is within
 * `ln 100` periods; then the probe's own period, the suspicion, and `lambda ln n` rounds of gossip,
 * after which at most `n^-((2 - 4/n) lambda - 2)` members have not heard (section 4.1).
 */
export function detectionBoundMs(tuning: Tuning, n: number): number {
  const probesMs = (PERIODS_UNTIL_PROBED + 1) * tuning.probeIntervalMs;
  const gossipMs = LAMBDA * Math.log(n) * tuning.gossipIntervalMs;
  return probesMs + suspicionMinMs(tuning, n) + gossipMs;
}

export function medianOf<K extends string>(items: readonly Record<K, number>[], key: K): number {
  const sorted = items.map((item) => item[key]).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return (low + high) / 2;
}

const SETTLE_MS = 2000;
const DETECT_MAX_MS = 180_000;

/** One member at a time crashes in a quiet cluster. */
export function measureCrashes({ seed, members, tuning, crashes }: KillOptions): Detection[] {
  return Array.from({ length: crashes }, (_, i) => {
    const options = { seed: `${seed}/${i}`, members, tuning };
    return measureCrash(options).detection;
  });
}

export function measureCrash(options: Omit<KillOptions, "crashes">): {
  world: GossipWorld;
  detection: Detection;
} {
  const heardAt: number[] = [];
  let falsePositives = 0;
  let victim = undefined as SimulatedMember | undefined;
  const world = new GossipWorld({
    ...options,
    onChange: ({ at, node, after }) => {
      if (after?.state !== "dead") return;
      if (node === victim?.name) heardAt.push(at);
      else falsePositives += 1;
    },
  });
  // The members' timers have random phases, so any moment is as good as another.
  world.run(SETTLE_MS);
  victim = world.members[0];
  if (victim !== undefined) world.kill(victim);
  const crashedAt = world.now;
  const all = options.members - 1;
  world.run(crashedAt + DETECT_MAX_MS, () => heardAt.length >= all);
  const after = (share: number) =>
    (heardAt[Math.ceil(share * all) - 1] ?? Number.POSITIVE_INFINITY) - crashedAt;
  const firstMs = (heardAt[0] ?? Number.POSITIVE_INFINITY) - crashedAt;
  const detection = { firstMs, fullMs: after(1), most99Ms: after(0.99), falsePositives };
  return { world, detection };
}
