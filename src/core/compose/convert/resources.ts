import type { Resources } from "../../../model/container.ts";
import { deviceRequestsOf, genericOf } from "./devices.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

type Limits = Resources["limits"];
type Reservations = Resources["reservations"];

/** Limits and reservations, from `deploy.resources` and from older properties of the service. */
export function resourcesOf(service: Cursor): Resources {
  const deployed = service.get("deploy")?.get("resources");
  const limits = limitsOf(service, deployed?.get("limits"));
  const reservations = reservationsOf(service, deployed?.get("reservations"));
  const reserved = deployed?.get("reservations") ?? service;
  if (limits.memoryBytes !== undefined && reservations.memoryBytes > limits.memoryBytes) {
    reserved.error("reserves more memory than the limit allows");
  }
  if (limits.cpuMillis !== undefined && reservations.cpuMillis > limits.cpuMillis) {
    reserved.error("reserves more cpus than the limit allows");
  }
  return { limits, reservations };
}

function limitsOf(service: Cursor, deployed: Cursor | undefined): Limits {
  const cpus = one(deployed?.get("cpus"), service.get("cpus"), (at) => at.cpuMillis());
  const memory = one(deployed?.get("memory"), service.get("mem_limit"), (at) => at.bytes());
  const memoryBytes = memory === 0 ? undefined : memory;
  const pids = one(deployed?.get("pids"), service.get("pids_limit"), (at) => at.integer(-1));
  const shares = service.get("cpu_shares")?.integer(0);
  return withoutUndefined({
    cpuMillis: quotaOf(service, cpus) ?? cpus,
    memoryBytes,
    memorySwapBytes: swapOf(service, memoryBytes),
    pids: pids === 0 ? undefined : pids,
    cpuShares: shares === 0 ? undefined : shares,
    cpuSet: cpuSetOf(service.get("cpuset")),
  });
}

function reservationsOf(service: Cursor, deployed: Cursor | undefined): Reservations {
  const memory = one(deployed?.get("memory"), service.get("mem_reservation"), (at) => at.bytes());
  return withoutUndefined({
    cpuMillis: deployed?.get("cpus")?.cpuMillis() ?? 0,
    memoryBytes: memory ?? 0,
    generic: genericOf(deployed),
    devices: deviceRequestsOf(service, deployed),
  });
}

/** What two properties that mean the same say; when they differ, that is a problem. */
function one<T>(
  deployed: Cursor | undefined,
  legacy: Cursor | undefined,
  read: (at: Cursor) => T | undefined,
): T | undefined {
  const [first, second] = [deployed && read(deployed), legacy && read(legacy)];
  if (first !== undefined && second !== undefined && first !== second) {
    legacy?.error(`says otherwise than ${deployed?.path ?? ""}; keep one of them`);
  }
  return first ?? second;
}

const PERIOD_US = 100_000;
const PERIOD_MAX_US = 1_000_000;

/** `cpu_quota` of each `cpu_period`, in microseconds, as thousandths of a core. */
function quotaOf(service: Cursor, cpus: number | undefined): number | undefined {
  const periodAt = service.get("cpu_period");
  const quotaAt = service.get("cpu_quota");
  const period = periodAt?.integer(1000, PERIOD_MAX_US) ?? PERIOD_US;
  const quota = quotaAt?.integer(-1);
  if (quotaAt === undefined) {
    periodAt?.error("has no effect without cpu_quota");
    return undefined;
  }
  if (quota === undefined || quota <= 0) return undefined;
  if (cpus !== undefined)
    return quotaAt.error("does not go with a limit of cpus; keep one of them");
  return Math.max(1, Math.round((quota * 1000) / period));
}

/** Memory and swap together; -1 is unlimited. */
function swapOf(service: Cursor, memoryBytes: number | undefined): number | undefined {
  const swap = service.get("memswap_limit");
  if (swap === undefined) return undefined;
  if (memoryBytes === undefined) return swap.error("needs a memory limit beside it");
  if (swap.text()?.trim() === "-1") return -1;
  const bytes = swap.bytes();
  if (bytes === 0 || bytes === undefined) return undefined;
  if (bytes >= memoryBytes) return bytes;
  return swap.error("is memory and swap together, so it can't be less than the memory limit");
}

function cpuSetOf(cursor: Cursor | undefined): string | undefined {
  const valid = /^\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?){0,63}$/;
  const parse = (text: string) => (text.length < 256 && valid.test(text) ? text : undefined);
  return cursor?.parsed(parse, 'must be numbers of CPUs, such as "0-2,4"');
}
