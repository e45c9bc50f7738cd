import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";

const LOOK_MS = 20;

/**
 * Ends the processes of an executable in a slot that is on trial: what is left of one whose
 * supervisor was killed would keep files and ports. Resolves when they are gone.
 * @param executables all of this machine: whoever runs one of them supervises its children
 * @throws OrchdError `conflict` when the executable is being tried just now
 */
export async function endLeftTrial(path: string, executables: readonly string[]): Promise<void> {
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid || executableOf(pid) !== path) continue;
    const parent = parentOf(pid);
    if (parent !== process.pid && executables.includes(executableOf(parent) ?? "")) {
      const message = `a new orchd is tried here by process ${parent}: wait until that has ended`;
      throw new OrchdError("conflict", message);
    }
    while (executableOf(pid) === path) {
      kill(pid);
      await pause(LOOK_MS);
    }
  }
}

function executableOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // It has ended, or is a thread of the kernel.
    return undefined;
  }
}

/** 0 when it has ended. proc(5): the name stands in parentheses and may hold some itself. */
function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (systemCodeOf(error) !== "ESRCH") throw error;
  }
}
