import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import { systemCodeOf } from "../../lib/errors.ts";
import { waitFor } from "./wait-for.ts";

const END_TIMEOUT_MS = 5_000;
const END_POLL_MS = 10;

/**
 * The Podman service that serves `socketPath`, by its command line; without a path the one that was
 * given its socket open, as by systemd.
 */
export function findService(socketPath?: string): number | undefined {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const words = commandLineOf(Number(entry));
    if (!words[0]?.endsWith("podman") || !words.includes("service")) continue;
    const url = words.find((word) => word.includes("://"));
    if (url === (socketPath && `unix://${socketPath}`)) return Number(entry);
  }
  return undefined;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "ESRCH") return false;
    throw error;
  }
}

/** Asks a process to end, makes it after five seconds; resolves when it has. */
export async function endProcess(pid: number, clock: Clock): Promise<void> {
  const killAt = clock.monotonicNow() + END_TIMEOUT_MS;
  const giveUpAt = killAt + END_TIMEOUT_MS;
  let killed = false;
  signal(pid, "SIGTERM");
  while (isAlive(pid) && clock.monotonicNow() < giveUpAt) {
    if (!killed && clock.monotonicNow() > killAt) {
      killed = true;
      signal(pid, "SIGKILL");
    }
    await waitFor(clock, END_POLL_MS);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It ended by itself meanwhile.
    if (systemCodeOf(error) !== "ESRCH") throw error;
  }
}

function commandLineOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    // The process ended while we looked.
    return [];
  }
}
