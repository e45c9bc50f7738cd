import { readFileSync } from "node:fs";
import type { Clock, Timer } from "../lib/clock.ts";
import { pagesAsInFile, programRange, type Range } from "./program-section.ts";

/** A start takes less; what was needed in between is read again each time. */
const EVERY_MS = 10_000;
/** From Linux: include/uapi/asm-generic/mman-common.h. */
const MADV_DONTNEED = 4;

/**
 * The machine code and constants in memory of the executable and its libraries: what is mapped from
 * a file, can't be written, and of which no page was changed before it was protected. Such pages,
 * and no others, can be had again from the file.
 * @param smaps the text of /proc/self/smaps
 */
export function unchangedRanges(smaps: string): Range[] {
  const ranges: Range[] = [];
  // A mapping's first line begins with its addresses; those of its figures follow.
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [isOfFile, start = "", end = ""] =
      /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ \d+ +\/.+$/m.exec(mapping) ?? [];
    if (isOfFile === undefined || !/^Anonymous: +0 kB$/m.test(mapping)) continue;
    const from = Number.parseInt(start, 16);
    ranges.push({ start: from, bytes: Number.parseInt(end, 16) - from });
  }
  return ranges;
}

/**
 * Gives back the pages of machine code, and of the program that was compiled into the executable,
 * that were needed at some time, for starting above all, now and then. The kernel keeps them in its
 * cache of the file as long as it has room, and puts those back that are needed again; but it no
 * longer counts them as this process's memory, and has them at hand for others. It takes some two
 * milliseconds of each ten seconds.
 * @returns how to end it
 */
export function keepReleasingCode(clock: Clock): () => void {
  let memory: Memory | undefined;
  let timer: Timer | undefined;
  let isEnded = false;
  const release = async () => {
    memory ??= await loadMemory();
    const smaps = readFileSync("/proc/self/smaps", "utf8");
    const { program, pageBytes } = memory;
    const ranges = unchangedRanges(smaps);
    if (program !== undefined) ranges.push(...pagesAsInFile(program, pageBytes));
    for (const range of ranges) if (!memory.drop(range)) return;
    schedule();
  };
  const schedule = () => {
    // Ended while the library was loaded: a timer more would keep the process from its end.
    if (isEnded) return;
    timer = clock.after(EVERY_MS, () => {
      // No /proc, or another C library: the process keeps what it has, and is otherwise the same.
      release().catch(() => undefined);
    });
  };
  schedule();
  return () => {
    isEnded = true;
    timer?.cancel();
  };
}

interface Memory {
  /** Forgets what is in memory; answers whether that was possible. */
  drop(range: Range): boolean;
  pageBytes: number;
  program: Range | undefined;
}

async function loadMemory(): Promise<Memory> {
  const { dlopen } = await import("bun:ffi");
  const { symbols } = dlopen("libc.so.6", {
    madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
    getpagesize: { args: [], returns: "i32" },
  });
  return {
    drop: ({ start, bytes }) => symbols.madvise(start, bytes, MADV_DONTNEED) === 0,
    pageBytes: symbols.getpagesize(),
    program: programRange(process.execPath),
  };
}
