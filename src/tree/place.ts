import * as fs from "node:fs";
import type { VolumePlace } from "../model/volume.ts";

/** Where a directory is, and which one that is: only this one on this machine is told so. */
export function placeOf(path: string): VolumePlace {
  const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const { dev, ino } = fs.statSync(path, { bigint: true });
  return { path, identity: `${boot}:${dev}:${ino}` };
}

/** Whether this process reaches that very directory by that path, and may read all of it. */
export function isInReach({ path, identity }: VolumePlace): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    return placeOf(path).identity === identity;
  } catch {
    // Another machine, or a container that has other files.
    return false;
  }
}
