import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { median, one, type Figure } from "./figure.ts";

const TICKS_PER_SECOND = 100;
const LOOK_EVERY_MS = 5000;

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

/** Waits, and answers what the process had resident meanwhile, every few seconds, in MiB. */
export async function residentDuring(pid: number, windowMs: number): Promise<number[]> {
  const end = performance.now() + windowMs;
  const looks: number[] = [];
  for (let left = windowMs; left > 0; left = end - performance.now()) {
    await pause(Math.min(left, LOOK_EVERY_MS));
    looks.push(memoryMib(pid));
  }
  return looks;
}

/** What the memory of a process is made of, with a limit on what is resident most of the time. */
export function memoryFigures(
  { name, pid, during }: { name: string; pid: number; during: string },
  resident: readonly number[],
  limit: number,
): Figure[] {
  const usual = one(`${name} resident memory, median, ${during}`, median(resident), "MiB", limit);
  return [
    { ...usual, samples: [...resident] },
    one(`${name} resident memory, most, ${during}`, Math.max(...resident), "MiB"),
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
