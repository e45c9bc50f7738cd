import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseProcessLimits, type ProcessLimits } from "./process-limits.ts";
import type { Machine } from "./service-flags.ts";

/** Where Podman looks for runtimes besides `PATH`. */
const RUNTIME_DIRS = [
  "/usr/bin",
  "/usr/sbin",
  "/usr/local/bin",
  "/usr/local/sbin",
  "/sbin",
  "/bin",
];
const OPEN_FILES_MAX = 1_048_576;

/** Where an OCI runtime's executable is, by its name or its path. */
export function findRuntime(name: string): string | undefined {
  return RUNTIME_DIRS.map((dir) => resolve(dir, name)).find((path) => existsSync(path));
}

/** Looks at what Podman will find on this machine. */
export function probeMachine(): Machine {
  const found = (name: string) => RUNTIME_DIRS.some((dir) => existsSync(join(dir, name)));
  return {
    systemd: existsSync("/run/systemd/system"),
    cgroups: existsSync("/sys/fs/cgroup/cgroup.controllers")
      ? "v2"
      : existsSync("/sys/fs/cgroup/unified")
        ? "hybrid"
        : "v1",
    runtimes: ["crun", "runc"].filter(found),
  };
}

/** The limits that containers of the process `pid` can get; of this process where it is unknown. */
export async function readProcessLimits(pid: number | undefined): Promise<ProcessLimits> {
  const dir = pid !== undefined && existsSync(`/proc/${pid}`) ? `/proc/${pid}` : "/proc/self";
  const [limits, status, openFiles, ids] = await Promise.all([
    readFile(`${dir}/limits`, "utf8"),
    readFile(`${dir}/status`, "utf8"),
    readFile("/proc/sys/fs/nr_open", "utf8"),
    readFile("/proc/sys/kernel/pid_max", "utf8"),
  ]);
  const found = parseProcessLimits(limits, status, Number(openFiles) || OPEN_FILES_MAX);
  const processes = found.get("NPROC");
  if (processes === undefined) return found;
  // Podman holds itself to as many as the kernel has ids, and can't give containers more.
  return new Map(found).set("NPROC", Math.min(processes, Number(ids) || processes));
}
