import type { Limits } from "../model/container.ts";

/** Of quotas of processor time, in µs. */
export const CPU_PERIOD_US = 100_000;
/** What a task may have that says nothing of it: a program that forks for ever stops there. */
export const PIDS_DEFAULT = 2048;
/** What the kernel gives where nothing is said. */
const CPU_SHARES_DEFAULT = 1024;

/**
 * What the OCI runtime is to change of a running container (`LinuxResources` of its runtime-spec):
 * all limits but the set of processors, and what is not limited is said as well.
 * @param countsSwap whether the kernel does
 */
export function changeOfLimits(limits: Limits, countsSwap: boolean): Record<string, unknown> {
  const { cpuMillis, memoryBytes = 0, memorySwapBytes = 0, cpuShares = 0, pids } = limits;
  const memory = memoryBytes > 0 ? memoryBytes : -1;
  // As much swap again as memory, unless it is said, as with Podman and Docker.
  const swap = memory === -1 ? -1 : memorySwapBytes === 0 ? memory * 2 : memorySwapBytes;
  const quota = cpuMillis === undefined ? -1 : (cpuMillis * CPU_PERIOD_US) / 1000;
  return {
    memory: { limit: memory, ...(countsSwap ? { swap } : {}) },
    cpu: { period: CPU_PERIOD_US, quota, shares: cpuShares > 0 ? cpuShares : CPU_SHARES_DEFAULT },
    pids: { limit: pids ?? PIDS_DEFAULT },
  };
}
