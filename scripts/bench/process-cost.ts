import { readFileSync } from "node:fs";
import { one, type Figure } from "./figure.ts";

const TICKS_PER_SECOND = 100;

/**
 * Kinds of memory of a process. `Rss` is all that is resident; of it `Pss` is its share of what
 * several use, and `Anonymous` what is in no file: heaps, stacks, compiled code. The rest are pages
 * of the executable and of libraries, which the kernel can drop and read again.
 */
export type MemoryKind = "Rss" | "Pss" | "Anonymous";

/** Memory of a process, in mebibytes. */
export function memoryMib(pid: number, kind: MemoryKind = "Rss"): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${kind}:\\s+(\\d+)`, "m").exec(text)?.[1]) / 1024;
}

/** What the memory of a process is made of, with a limit on all of it. */
export function memoryFigures(name: string, pid: number, during: string, limit: number): Figure[] {
  return [
    one(`${name} resident memory, ${during}`, memoryMib(pid), "MiB", limit),
    one(`${name} proportional memory, ${during}`, memoryMib(pid, "Pss"), "MiB"),
    one(`${name} memory that is in no file, ${during}`, memoryMib(pid, "Anonymous"), "MiB"),
  ];
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
