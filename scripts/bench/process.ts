import { readFileSync } from "node:fs";
import type { Figure } from "./figure.ts";

const TICKS_PER_SECOND = 100;

export function memoryKb(pid: number, kind: "Rss" | "Pss"): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${kind}:\\s+(\\d+)`, "m").exec(text)?.[1]);
}

/** User and system time of a process since its start. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** What a process has written to disks since its start. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

/** A figure that was measured once. */
export function one(what: string, value: number, unit: string, limit?: number): Figure {
  return { what, value, unit, samples: [value], ...(limit === undefined ? {} : { limit }) };
}
