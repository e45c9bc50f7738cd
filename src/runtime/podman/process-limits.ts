import type { Ulimit } from "../../model/container.ts";

/**
 * The highest value of each limit that a container may get, by the name that Podman uses
 * (`NOFILE`); a limit without an entry has no bound. A container's limits are set by descendants
 * of the Podman service, which can't raise its own without CAP_SYS_RESOURCE: starting fails then.
 */
export type ProcessLimits = ReadonlyMap<string, number>;

declare global {
  interface JSON {
    /** A number written as it stands (ECMAScript 2026); not yet in the compiler's own types. */
    rawJSON(text: string): unknown;
  }
}

/** What Podman itself gives where nothing is asked for; clipped, so that starting never fails. */
const DEFAULT_LIMIT = 1_048_576;
/** `RLIM_INFINITY`; larger than a JavaScript number holds exactly. */
const INFINITE = "18446744073709551615";

const NAMES: ReadonlyMap<string, string> = new Map([
  ["Max cpu time", "CPU"],
  ["Max file size", "FSIZE"],
  ["Max data size", "DATA"],
  ["Max stack size", "STACK"],
  ["Max core file size", "CORE"],
  ["Max resident set", "RSS"],
  ["Max processes", "NPROC"],
  ["Max open files", "NOFILE"],
  ["Max locked memory", "MEMLOCK"],
  ["Max address space", "AS"],
  ["Max file locks", "LOCKS"],
  ["Max pending signals", "SIGPENDING"],
  ["Max msgqueue size", "MSGQUEUE"],
  ["Max nice priority", "NICE"],
  ["Max realtime priority", "RTPRIO"],
  ["Max realtime timeout", "RTTIME"],
]);

const CAP_SYS_RESOURCE = 1n << 24n;

/**
 * The bounds for one process, from the texts of its `/proc/PID/limits` and `/proc/PID/status`.
 * @param openFilesMax the kernel's own bound, `/proc/sys/fs/nr_open`, which holds for everyone
 */
export function parseProcessLimits(
  limits: string,
  status: string,
  openFilesMax: number,
): ProcessLimits {
  const result = new Map<string, number>([["NOFILE", openFilesMax]]);
  const capabilities = status.match(/^CapEff:\s*([0-9a-f]+)$/m)?.[1] ?? "0";
  if ((BigInt(`0x${capabilities}`) & CAP_SYS_RESOURCE) !== 0n) return result;
  for (const line of limits.split("\n")) {
    const [, title = "", , hard = ""] = line.match(/^(.+?)\s{2,}(\S+)\s+(\S+)/) ?? [];
    const name = NAMES.get(title);
    if (name !== undefined && /^\d+$/.test(hard)) result.set(name, Number(hard));
  }
  return result;
}

/** The `r_limits` of Podman's create body: what was asked for, within what can be had. */
export function limitsSpecOf(ulimits: readonly Ulimit[], limits: ProcessLimits): readonly object[] {
  return boundedLimits(ulimits, limits).map(({ name, soft, hard }) => ({
    type: name,
    soft: limitJson(soft),
    hard: limitJson(hard),
  }));
}

/** What was asked for, within what can be had; `Infinity` for no limit, names as `NOFILE`. */
export function boundedLimits(ulimits: readonly Ulimit[], limits: ProcessLimits): Ulimit[] {
  const asked = new Map<string, Ulimit>();
  for (const name of ["nofile", "nproc"]) {
    asked.set(name.toUpperCase(), { name, soft: DEFAULT_LIMIT, hard: DEFAULT_LIMIT });
  }
  for (const ulimit of ulimits) asked.set(ulimit.name.toUpperCase(), ulimit);
  return [...asked].map(([name, { soft, hard }]) => {
    const bound = limits.get(name) ?? Number.POSITIVE_INFINITY;
    const hardest = Math.min(boundOf(hard), bound);
    return { name, soft: Math.min(boundOf(soft), hardest), hard: hardest };
  });
}

/** -1 means no limit. */
function boundOf(value: number): number {
  return value < 0 ? Number.POSITIVE_INFINITY : value;
}

function limitJson(value: number): unknown {
  return Number.isFinite(value) ? value : JSON.rawJSON(INFINITE);
}
