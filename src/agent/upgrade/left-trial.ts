import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { systemCodeOf } from "../../lib/errors.ts";

const LOOK_MS = 20;

/**
 * Ends the processes of an executable in a slot, which nobody else runs: what is left of a trial
 * whose supervisor was killed would keep files and ports. Resolves when they are gone.
 */
export async function endLeftTrial(path: string): Promise<void> {
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
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

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (systemCodeOf(error) !== "ESRCH") throw error;
  }
}
