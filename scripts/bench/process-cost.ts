import { readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;

/** Resident memory of a process, in mebibytes: all of it, or its share of what several use. */
export function memoryMib(pid: number, kind: "Rss" | "Pss" = "Rss"): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${kind}:\\s+(\\d+)`, "m").exec(text)?.[1]) / 1024;
}

/** User and system time of a process since its start. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** What a process has made disks write since its start. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

/** What one process took between two looks at it. */
export class CostMeter {
  readonly #pid: number;
  readonly #since = performance.now();
  readonly #cpu: number;
  readonly #written: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#cpu = cpuMs(pid);
    this.#written = writtenBytes(pid);
  }

  /** Of one core. */
  get cpuPercent(): number {
    return (100 * (cpuMs(this.#pid) - this.#cpu)) / (performance.now() - this.#since);
  }

  get writtenBytes(): number {
    return writtenBytes(this.#pid) - this.#written;
  }
}
