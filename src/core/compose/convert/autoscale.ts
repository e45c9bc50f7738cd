import { AUTOSCALE_DOWN, AUTOSCALE_UP, type AutoscalePolicy } from "../../../model/autoscale.ts";
import type { Resources } from "../../../model/container.ts";
import { REPLICAS_MAX, type ServiceSpec } from "../../../model/service.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const PERCENT_MAX = 100_000;
const WINDOW_MAX_MS = 86_400_000;

interface AutoscaleContext {
  mode: ServiceSpec["mode"];
  resources: Resources;
  /** Whether it publishes a port or takes requests, which alone are counted. */
  isReached: boolean;
}

/** `x-orchd.autoscale`: undefined where the service does not scale itself. */
export function autoscaleOf(
  service: Cursor,
  { mode, resources, isReached }: AutoscaleContext,
): AutoscalePolicy | undefined {
  const given = service.get("x-orchd")?.get("autoscale");
  if (given === undefined) return undefined;
  if (mode !== "replicated") {
    return given.error(`goes with deploy.mode: replicated alone, not with ${mode}`);
  }
  const min = given.get("min")?.integer(1, REPLICAS_MAX) ?? 1;
  const max = given.get("max")?.integer(1, REPLICAS_MAX) ?? min;
  if (min > max) given.error(`has a min of ${min}, which is more than its max of ${max}`);
  refuseReplicasBeyond(service, min, max);
  const policy = withoutUndefined({
    min,
    max,
    cpuPercent: percentOf(given.get("cpu")),
    memoryPercent: percentOf(given.get("memory")),
    requestsPerSecond: given.get("requests")?.parsed(parseRate, "must be a number above 0"),
    up: paceOf(given.get("up"), AUTOSCALE_UP),
    down: paceOf(given.get("down"), AUTOSCALE_DOWN),
  });
  const hasMetric = ["cpu", "memory", "requests"].some((key) => given.has(key));
  if (!hasMetric) given.error("needs one of cpu, memory and requests to go by");
  if (policy.requestsPerSecond !== undefined && !isReached) {
    given.get("requests")?.error("is counted at published ports and x-orchd.ingress: give it one");
  }
  const { reservations, limits } = resources;
  if (policy.memoryPercent !== undefined && !reservations.memoryBytes && !limits.memoryBytes) {
    const what = "deploy.resources.reservations.memory, or a limit";
    given.get("memory")?.error(`is a share of what the service reserves: give it ${what}`);
  }
  return policy;
}

/** Replicas beside autoscale are where it begins, so they lie within its bounds. */
function refuseReplicasBeyond(service: Cursor, min: number, max: number): void {
  const replicas = service.get("deploy")?.get("replicas");
  const count = replicas?.integer(0, REPLICAS_MAX);
  if (count === undefined || (count >= min && count <= max) || min > max) return;
  replicas?.error(`must be from ${min} to ${max}, the bounds of x-orchd.autoscale, not ${count}`);
}

function percentOf(at: Cursor | undefined): number | undefined {
  const parse = (text: string): number | undefined => {
    const [, digits] = /^(\d{1,6}(?:\.\d{1,6})?) ?%?$/.exec(text) ?? [];
    const value = Number(digits);
    return value > 0 && value <= PERCENT_MAX ? value : undefined;
  };
  return at?.parsed(parse, "must be a percentage above 0, such as 70%");
}

function parseRate(text: string): number | undefined {
  const value = /^\d{1,9}(?:\.\d{1,6})?$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : undefined;
}

function paceOf(
  at: Cursor | undefined,
  { windowMs, step }: AutoscalePolicy["up"],
): AutoscalePolicy["up"] {
  const given = at?.get("window")?.durationMs();
  if (given !== undefined && given > WINDOW_MAX_MS) at?.get("window")?.error("is over a day");
  return {
    windowMs: given ?? windowMs,
    step: at?.get("step")?.integer(0, REPLICAS_MAX) ?? step,
  };
}
