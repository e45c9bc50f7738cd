import { readFileSync } from "node:fs";
import type { NodeUsage } from "../../model/usage.ts";
import type { TaskId } from "../../model/ids.ts";
import type { ProcessIdentity } from "./process-files.ts";

/** Of the kernel's times for people, sysconf(_SC_CLK_TCK): 100 a second on Linux. */
const TICK_MS = 10;
const PAGE_BYTES = 4096;

interface Stat {
  state: string;
  startTime: string;
  ticks: number;
}

/** What names a process that is there now: its id, and when it was started. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat && { pid, startTime: stat.startTime };
}

/** Whether that very process is there and has not ended. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.startTime === startTime && !/[ZXx]/.test(stat.state);
}

/** What processes use together, where no cgroup counts it: of those that have ended nothing. */
export function usageOf(taskId: TaskId, pids: readonly number[]): NodeUsage["tasks"][number] {
  let cpuMs = 0;
  let memoryBytes = 0;
  for (const pid of pids) {
    cpuMs += (statOf(pid)?.ticks ?? 0) * TICK_MS;
    memoryBytes += Number(readOf(pid, "statm").split(" ")[1] ?? 0) * PAGE_BYTES;
  }
  return { taskId, cpuMs, memoryBytes };
}

/** `pid (name) state …`, proc(5): the name may hold anything; the start is the 22nd field. */
function statOf(pid: number): Stat | undefined {
  const text = readOf(pid, "stat");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "", startTime = ""] = [fields[0], fields[19]];
  if (startTime === "") return undefined;
  return { state, startTime, ticks: Number(fields[11] ?? 0) + Number(fields[12] ?? 0) };
}

function readOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // It has ended.
    return "";
  }
}
