import { existsSync, readFileSync } from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import type { Resources } from "../../model/container.ts";
import type { TaskId } from "../../model/ids.ts";
import type { NodeUsage } from "../../model/usage.ts";
import { NAMESPACE } from "./grpc.ts";

const ROOT = "/sys/fs/cgroup";

export function hasUnifiedCgroups(): boolean {
  return existsSync(`${ROOT}/cgroup.controllers`);
}

export function countsSwap(): boolean {
  return hasUnifiedCgroups() || existsSync(`${ROOT}/memory/memory.memsw.limit_in_bytes`);
}

/** Where the cgroups of a task's container are, below the root of each hierarchy. */
export function cgroupsPathOf(taskId: TaskId): string {
  return `/${NAMESPACE}/${taskId}`;
}

/** @throws OrchdError `invalid` for a memory limit that the kernel can't hold */
export function requireMemoryLimits({ limits }: Resources): void {
  if (limits.memoryBytes === undefined) return;
  const has = hasUnifiedCgroups()
    ? readText(`${ROOT}/cgroup.controllers`)?.split(/\s+/).includes("memory")
    : existsSync(`${ROOT}/memory`);
  if (has === true) return;
  throw new OrchdError(
    "invalid",
    "the node's kernel counts no memory, so there can be no memory limit; on a Raspberry Pi put " +
      "cgroup_enable=memory cgroup_memory=1 into the line of /boot/firmware/cmdline.txt",
  );
}

/** What a running container uses; undefined where it has no cgroup any more. */
export function usageOf(taskId: TaskId): NodeUsage["tasks"][number] | undefined {
  const path = cgroupsPathOf(taskId);
  if (hasUnifiedCgroups()) {
    const cpu = readText(`${ROOT}${path}/cpu.stat`)?.match(/^usage_usec (\d+)$/m)?.[1];
    const memory = readText(`${ROOT}${path}/memory.current`);
    if (cpu === undefined) return undefined;
    return { taskId, cpuMs: Number(cpu) / 1e3, memoryBytes: Number(memory ?? 0) };
  }
  const cpu = readText(`${ROOT}/cpuacct${path}/cpuacct.usage`);
  const memory = readText(`${ROOT}/memory${path}/memory.usage_in_bytes`);
  if (cpu === undefined) return undefined;
  return { taskId, cpuMs: Number(cpu) / 1e6, memoryBytes: Number(memory ?? 0) };
}

/** Whether the kernel has killed a process of it for its memory limit. */
export function wasOutOfMemory(taskId: TaskId): boolean {
  const path = cgroupsPathOf(taskId);
  const text = hasUnifiedCgroups()
    ? readText(`${ROOT}${path}/memory.events`)
    : readText(`${ROOT}/memory${path}/memory.oom_control`);
  return Number(text?.match(/^oom_kill (\d+)$/m)?.[1] ?? 0) > 0;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The container has ended, and its cgroup with it.
    return undefined;
  }
}
