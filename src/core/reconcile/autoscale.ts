import type { AutoscalePolicy } from "../../model/autoscale.ts";
import type { Measurement, Metric } from "./measurements.ts";

/** What was right at a moment, by the measurements of that moment alone. */
export interface Recommendation {
  /** Milliseconds since 1970. */
  at: number;
  replicas: number;
}

export interface ScaleInput {
  policy: AutoscalePolicy;
  /** Tasks that are wanted now. */
  current: number;
  measurements: readonly Measurement[];
  /** Earlier recommendations, the oldest first. */
  history: readonly Recommendation[];
  /** Milliseconds since 1970. */
  now: number;
}

export interface ScaleDecision {
  replicas: number;
  /** What the next decision gets as its history. */
  history: Recommendation[];
  /** Why, in words: `cpu is at 140 % of what is wanted: 2 -> 3 tasks`. */
  reason: string;
}

/** Differences below this are noise. */
const TOLERANCE = 0.1 + 1e-9;
/** Measurements come every ten seconds; what lies this much further back still counts. */
const SLACK_MS = 60_000;

/**
 * How many tasks there should be. Each metric says its own number, and the highest counts. A
 * task that could not be measured is taken to be idle when there should be more, and to be just
 * right when there should be fewer, so that nothing is done on a guess. Fewer than now are wanted
 * only when no moment of the whole window asked for more; what is not known of the window, as
 * after a start or when the clock was set, is waited for.
 */
export function decideScale(input: ScaleInput): ScaleDecision {
  const { policy, current, measurements, now } = input;
  const wishes = measurements.flatMap((one) => wishOf(one, current) ?? []);
  const past = input.history.filter(({ at }) => at <= now && at > now - keptMs(policy));
  const strongest = wishes.toSorted((a, b) => b.replicas - a.replicas)[0];
  if (strongest === undefined) {
    return { replicas: within(policy, current), history: past, reason: "nothing is measured yet" };
  }
  const history = [...past, { at: now, replicas: strongest.replicas }];
  const settled = settle(policy, current, history, now);
  const replicas = within(policy, stepped(policy, current, settled));
  return { replicas, history, reason: formatReason(strongest, current, settled, replicas) };
}

interface Wish {
  metric: Metric;
  /** What there is over what is wanted, over all tasks. */
  ratio: number;
  replicas: number;
}

function wishOf({ metric, ratios }: Measurement, current: number): Wish | undefined {
  if (ratios.length === 0 || current === 0) return undefined;
  const sum = ratios.reduce((total, ratio) => total + ratio, 0);
  const ratio = sum / ratios.length;
  const unknown = Math.max(0, current - ratios.length);
  // Those that are not measured stand in as idle, or as just right, whichever moves less.
  const total = ratio > 1 ? sum : sum + unknown;
  const careful = total / (ratios.length + unknown);
  if (Math.abs(careful - 1) <= TOLERANCE || careful > 1 !== ratio > 1) {
    return { metric, ratio, replicas: current };
  }
  // A quotient of measured numbers is never exact: 3.0000001 tasks are three.
  return { metric, ratio, replicas: Math.max(1, Math.ceil(total - 1e-6)) };
}

/** The number that held throughout the window of its direction. */
function settle(
  policy: AutoscalePolicy,
  current: number,
  history: readonly Recommendation[],
  now: number,
): number {
  const latest = history.at(-1)?.replicas ?? current;
  if (latest === current) return current;
  const { windowMs } = latest > current ? policy.up : policy.down;
  const [first] = history;
  if (windowMs > 0 && (first === undefined || first.at > now - windowMs)) return current;
  const seen = history.filter(({ at }) => at >= now - windowMs).map(({ replicas }) => replicas);
  return latest > current
    ? Math.max(current, Math.min(...seen))
    : Math.min(current, Math.max(...seen));
}

/** At most one step; upwards a step may always double. */
function stepped({ up, down }: AutoscalePolicy, current: number, wanted: number): number {
  if (wanted > current && up.step > 0)
    return Math.min(wanted, current + Math.max(up.step, current));
  if (wanted < current && down.step > 0) return Math.max(wanted, current - down.step);
  return wanted;
}

function within({ min, max }: AutoscalePolicy, replicas: number): number {
  return Math.min(Math.max(replicas, min), max);
}

function keptMs({ up, down }: AutoscalePolicy): number {
  return Math.max(up.windowMs, down.windowMs) + SLACK_MS;
}

function formatReason(wish: Wish, current: number, settled: number, replicas: number): string {
  const measured = `${wish.metric} is at ${Math.round(wish.ratio * 100)} % of what is wanted`;
  if (replicas !== current) return `${measured}: ${current} -> ${replicas} tasks`;
  if (wish.replicas === current) return `${measured}: ${current} tasks are right`;
  if (settled === current) return `${measured}: ${wish.replicas} tasks if it stays so`;
  return `${measured}: ${current} tasks are as many as the bounds allow`;
}
