import type { GossipPreset } from "../../model/gossip-preset.ts";

/**
 * Every number that shapes detection and gossip. Names and formulas follow hashicorp/memberlist
 * (config.go, util.go, suspicion.go) where it has them; README.md tells trade-offs and ranges.
 */
export interface Tuning {
  /** Time between two probes of one prober, and the time that a probe has to succeed. */
  probeIntervalMs: number;
  /** Wait for a direct ack before others are asked to probe as well. Below `probeIntervalMs`. */
  probeTimeoutMs: number;
  /** How many members are asked for an indirect probe. */
  indirectChecks: number;
  /** Suspicion lasts at least `suspicionMult x max(scaleMin, log10 n) x probeIntervalMs`. */
  suspicionMult: number;
  suspicionScaleMin: number;
  /** Suspicion lasts at most so many times the least: what remains without any confirmation. */
  suspicionMaxMult: number;
  /** Confirmations by others that bring a suspicion down to its least time. 0: it begins there. */
  confirmations: number;
  /** With too few members for so many: half of the others instead of none. */
  confirmsInSmallClusters: boolean;
  /** Members, of all that hear of a suspicion, who probe the suspect next. 0: nobody is moved. */
  confirmers: number;
  /** A broadcast is sent `retransmitMult x ceil(log10(n + 1))` times by each member. */
  retransmitMult: number;
  gossipIntervalMs: number;
  /** Random members that get gossip each interval. */
  gossipNodes: number;
  /** How long after its death a member still gets gossip, so that it can refute. */
  gossipToTheDeadMs: number;
  /** Time between two full exchanges; above 32 members times `ceil(log2 n - 5) + 1`. */
  pushPullIntervalMs: number;
  /**
   * Above this many members the time between full exchanges grows as the cluster does, so that
   * what each member sends in them does not. The price: what gossip left out is found later.
   */
  pushPullSteadyFrom: number;
  /** Times and intervals of probes are multiplied by 1 to this, by the member's own health. */
  awarenessMax: number;
  /** Time after which a dead or left member is forgotten. */
  reapAfterMs: number;
  /** Time between two attempts to find a dead member, or the cluster, again. 0: none. */
  reconnectIntervalMs: number;
  /** A timer later than this means that this process stood still; such time does not count. */
  stallMs: number;
  /**
   * After so many probe intervals without a packet from anybody a member is deaf: suspicions wait
   * for confirmation by others from then on, and begin anew once it hears again.
   */
  deafAfterIntervals: number;
  /** Whether a ping says where to answer. Without it the answer goes to where it came from. */
  announcesSource: boolean;
  /** Largest packet, with all that the transport adds. */
  packetBytesMax: number;
  /** Members beyond this are refused. */
  membersMax: number;
}

/** For one site: the defaults of memberlist and serf. */
const lan: Tuning = {
  probeIntervalMs: 1000,
  probeTimeoutMs: 500,
  indirectChecks: 3,
  suspicionMult: 4,
  suspicionScaleMin: 1,
  suspicionMaxMult: 6,
  confirmations: 2,
  confirmsInSmallClusters: false,
  confirmers: 0,
  retransmitMult: 4,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  pushPullIntervalMs: 30_000,
  pushPullSteadyFrom: Number.POSITIVE_INFINITY,
  awarenessMax: 8,
  reapAfterMs: 30_000,
  reconnectIntervalMs: 0,
  stallMs: Number.POSITIVE_INFINITY,
  deafAfterIntervals: Number.POSITIVE_INFINITY,
  announcesSource: true,
  packetBytesMax: 1400,
  membersMax: 10_000,
};

/** Between sites, with memberlist's numbers. */
const wan: Tuning = {
  ...lan,
  probeIntervalMs: 5000,
  probeTimeoutMs: 3000,
  suspicionMult: 6,
  confirmations: 4,
  gossipIntervalMs: 500,
  gossipNodes: 4,
  gossipToTheDeadMs: 60_000,
  pushPullIntervalMs: 60_000,
  reapAfterMs: 60_000,
};

/** On one machine, with memberlist's numbers. */
const local: Tuning = {
  ...lan,
  probeTimeoutMs: 200,
  indirectChecks: 1,
  suspicionMult: 3,
  confirmations: 1,
  retransmitMult: 2,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
  pushPullIntervalMs: 15_000,
  reapAfterMs: 15_000,
};

/** What a cluster that heals by itself needs beside memberlist's numbers, whatever its network. */
const healing = {
  confirmsInSmallClusters: true,
  pushPullSteadyFrom: 128,
  reapAfterMs: 24 * 3_600_000,
  reconnectIntervalMs: 15_000,
  stallMs: 250,
  deafAfterIntervals: 3,
  announcesSource: false,
};

/** orchd's own: a lost node is known in under 4 s. */
const orchd: Tuning = {
  ...lan,
  ...healing,
  probeIntervalMs: 500,
  probeTimeoutMs: 200,
  suspicionMult: 2,
  suspicionScaleMin: 2,
  suspicionMaxMult: 10,
  confirmations: 3,
  confirmers: 4,
  // A suspicion must reach its suspect, and the refutation all others, also where packets get lost.
  retransmitMult: 6,
};

/** memberlist's own numbers beside orchd's: what it and serf do, to the letter. */
export const PRESETS = { lan, wan, local, orchd } as const;

/** What people choose among. */
export const CLUSTER_TUNINGS: Readonly<Record<GossipPreset, Tuning>> = {
  orchd,
  lan: { ...lan, ...healing },
  wan: { ...wan, ...healing },
  local: { ...local, ...healing },
};

/** The least time that a suspicion lasts in a cluster of `n`. */
export function suspicionMinMs(tuning: Tuning, n: number): number {
  const scale = Math.max(tuning.suspicionScaleMin, Math.log10(Math.max(1, n)));
  // memberlist cuts the scale to three decimals.
  return (tuning.suspicionMult * Math.floor(scale * 1000) * tuning.probeIntervalMs) / 1000;
}

/** How many confirmations a suspicion waits for in a cluster of `n`: not from us, not from it. */
export function confirmationsWanted(tuning: Tuning, n: number): number {
  const { confirmations, confirmsInSmallClusters } = tuning;
  const half = Math.max(0, Math.floor((n - 2) / 2));
  if (confirmsInSmallClusters) return Math.min(confirmations, half);
  return n - 2 < confirmations ? 0 : confirmations;
}

/** How often each member sends one broadcast. */
export function transmitLimit(tuning: Tuning, n: number): number {
  return tuning.retransmitMult * Math.ceil(Math.log10(n + 1));
}

/** Above this many members full exchanges become rarer. */
const PUSH_PULL_SCALE_FROM = 32;

/** Time between two full exchanges of one member. */
export function pushPullIntervalMs(tuning: Tuning, n: number): number {
  const steadyFrom = tuning.pushPullSteadyFrom;
  if (n > steadyFrom) return (pushPullIntervalMs(tuning, steadyFrom) * n) / steadyFrom;
  if (n <= PUSH_PULL_SCALE_FROM) return tuning.pushPullIntervalMs;
  const steps = Math.ceil(Math.log2(n) - Math.log2(PUSH_PULL_SCALE_FROM)) + 1;
  return steps * tuning.pushPullIntervalMs;
}
