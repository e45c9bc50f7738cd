import {
  PRESETS,
  pushPullIntervalMs,
  suspicionMinMs,
  type Tuning,
} from "../../src/core/gossip/tuning.ts";
import {
  detectionBoundMs,
  measureCrash,
  measureCrashes,
  medianOf,
} from "../../tests/sim/gossip/experiments.ts";
import { GossipWorld } from "../../tests/sim/gossip/gossip-world.ts";
import { bytesOfExchange } from "../../tests/sim/gossip/sizes.ts";
import { LIFEGUARD } from "../../tests/sim/gossip/slow-grid.ts";
import { formatTable, one, type Figure } from "./figure.ts";
import { benchSlowMembers } from "./gossip-slow.ts";

const MEMBERS = 128;
const seed = "bench";

/**
 * Medians of real memberlist 0.2.2 with 95 % intervals, 128 members in one process that crash one
 * after the other, and are replaced: 98, 80 and 140 crashes. From a crash until the first member
 * and until all know of it, in seconds, by the multiplier of the suspicion. With 20 crashes, such a
 * median is only good to 0.45 s: the wait for the first probe alone has a deviation of 1 s.
 */
const MEMBERLIST = [
  {
    suspicionMult: 5,
    first: 12.36,
    firstIn: "12.16 to 12.58",
    full: 12.81,
    fullIn: "12.61 to 13.08",
  },
  {
    suspicionMult: 4,
    first: 10.25,
    firstIn: "10.01 to 10.45",
    full: 10.67,
    fullIn: "10.47 to 10.87",
  },
  { suspicionMult: 2, first: 5.86, firstIn: "5.67 to 6.05", full: 6.42, fullIn: "6.25 to 6.52" },
] as const;

/** Simulated in virtual time: memberlist's constants against memberlist itself, then our own. */
export async function benchGossip(isFull: boolean): Promise<Figure[]> {
  const crashes = isFull ? 400 : 100;
  return [
    ...MEMBERLIST.flatMap((real) => calibrate(real, crashes)),
    ...benchOwn(crashes),
    ...benchSlowMembers(isFull, seed),
    ...[1000, 5000].map((members) => large(members)),
    ...benchSizes(),
  ];
}

function calibrate(real: (typeof MEMBERLIST)[number], crashes: number): Figure[] {
  const { suspicionMult } = real;
  const confirmations = Math.max(0, suspicionMult - 2);
  const tuning: Tuning = { ...PRESETS.lan, suspicionMult, confirmations };
  const options = { seed: `${seed}/${suspicionMult}`, members: MEMBERS, tuning, crashes };
  const found = measureCrashes(options);
  const against = (what: string, key: "firstMs" | "fullMs", median: number, interval: string) => {
    const own = medianOf(found, key) / 1000;
    const name = `simulated memberlist, suspicion x ${suspicionMult}: ${what} off by`;
    const ours = `${own.toFixed(2)} s (${intervalOf(found.map((each) => each[key]))})`;
    const reference = `${ours}, real ${median} s (${interval})`;
    return { ...one(name, Math.abs(own / median - 1) * 100, "%"), limit: 5, reference };
  };
  const probedS = Math.LN2 + tuning.probeIntervalMs / 1000;
  const formulaS = probedS + suspicionMinMs(tuning, MEMBERS) / 1000;
  const first = against("the first knows,", "firstMs", real.first, real.firstIn);
  const reference = `${first.reference}, formula ${formulaS.toFixed(2)} s`;
  return [{ ...first, reference }, against("all know,", "fullMs", real.full, real.fullIn)];
}

/** The 95 % interval of the median, by ranks: in seconds. */
function intervalOf(timesMs: readonly number[]): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const reach = 0.98 * Math.sqrt(sorted.length);
  const at = (rank: number) => ((sorted[Math.round(rank)] ?? Number.NaN) / 1000).toFixed(2);
  return `${at(sorted.length / 2 - reach - 0.5)} to ${at(sorted.length / 2 + reach - 0.5)}`;
}

function benchOwn(crashes: number): Figure[] {
  const own = measureCrashes({ seed, members: MEMBERS, crashes, tuning: PRESETS.orchd });
  const full = medianOf(own, "fullMs") / 1000;
  const wrong = own.reduce((sum, { falsePositives }) => sum + falsePositives, 0);
  const [ours, theirs] = [PRESETS.orchd, LIFEGUARD.tuning].map((tuning) => bytesWithCrash(tuning));
  const ratio = (ours ?? Number.NaN) / (theirs ?? Number.NaN);
  return [
    { ...one("orchd's preset, 128 members: a crash until all know", full, "s"), limit: 4 },
    { ...one("orchd's preset: members called dead that live", wrong, ""), limit: 0 },
    {
      ...one("orchd's preset, two minutes with a crash: bytes, times Lifeguard's", ratio, "x"),
      limit: 1.5,
      reference: `${ours?.toFixed(0)} and ${theirs?.toFixed(0)} bytes/s a member, streams too`,
    },
  ];
}

const WITH_CRASH_MS = 120_000;

/** Bytes per second and member, full exchanges too, in two minutes in which one crashes. */
function bytesWithCrash(tuning: Tuning): number {
  const { world } = measureCrash({ seed, members: MEMBERS, tuning });
  world.run(WITH_CRASH_MS);
  const bytes = world.members.reduce((sum, each) => sum + each.packetBytes + each.streamBytes, 0);
  return bytes / MEMBERS / (WITH_CRASH_MS / 1000);
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

const SIZES = [128, 1000, 5000];
const QUIET_MS = 5000;

interface Traffic {
  packets: number;
  bytes: number;
  streamBytes: number;
}

/** What a member of a quiet cluster sends, by the size of the cluster. */
function benchSizes(): Figure[] {
  const traffic = SIZES.map((members) => trafficOf(members));
  const rows = traffic.map(({ packets, bytes, streamBytes }, i) => [
    `${SIZES[i]}`,
    packets.toFixed(2),
    bytes.toFixed(1),
    streamBytes.toFixed(1),
    (bytes + streamBytes).toFixed(1),
  ]);
  const head = ["members, quiet", "packets/s a member", "bytes/s a member", "on streams", "all"];
  console.log(formatTable([head, ...rows]));
  const [small, middle, largest] = traffic.map(({ bytes, streamBytes }) => bytes + streamBytes);
  const times = (all: number | undefined) => (all ?? Number.NaN) / (small ?? Number.NaN);
  return [
    { ...one("orchd's preset: bytes of a member, 1000 to 128", times(middle), "x"), limit: 1.1 },
    { ...one("orchd's preset: bytes of a member, 5000 to 128", times(largest), "x"), limit: 1.1 },
  ];
}

/** Packets are counted; full exchanges are too rare for that, and follow from their interval. */
function trafficOf(members: number): Traffic {
  const tuning = PRESETS.orchd;
  const world = new GossipWorld({ seed, members, tuning });
  world.run(QUIET_MS);
  const perSecond = (of: "packets" | "packetBytes") =>
    world.members.reduce((sum, member) => sum + member[of], 0) / members / (QUIET_MS / 1000);
  const state = [...(world.members[0]?.membership.members() ?? [])];
  const exchange = bytesOfExchange({ join: false, members: state, userState: new Uint8Array() });
  // One that it begins, and on average one that it answers.
  const streamBytes = (2 * exchange) / (pushPullIntervalMs(tuning, members) / 1000);
  return { packets: perSecond("packets"), bytes: perSecond("packetBytes"), streamBytes };
}
