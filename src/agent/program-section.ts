import { closeSync, openSync, readSync } from "node:fs";

/** Where Bun's compiler puts the program into an executable. */
const SECTION = ".bun";
/** Of a 64-bit ELF file, from elf(5): offsets in its header, and in the header of a section. */
const HEADER = { bytes: 64, sections: 0x28, sectionBytes: 0x3a, sectionCount: 0x3c, names: 0x3e };
const ENTRY = { name: 0, address: 16, offset: 24, size: 32 };
/** From Linux: Documentation/admin-guide/mm/pagemap.rst. */
const IS_PRESENT = 1n << 63n;
const IS_OF_FILE = 1n << 61n;

/** A range of addresses. */
export interface Range {
  start: number;
  bytes: number;
}

/**
 * Where this executable's own program lies in memory: what it was compiled from, which nobody
 * writes and little of which is read after a start, in the midst of what is written. Undefined for
 * an executable that holds no program, or not where it is loaded at a fixed address.
 */
export function programRange(executable: string): Range | undefined {
  const file = openSync(executable, "r");
  try {
    const read = (offset: number, bytes: number) => {
      const buffer = Buffer.alloc(bytes);
      readSync(file, buffer, 0, bytes, offset);
      return buffer;
    };
    return sectionIn(read);
  } finally {
    closeSync(file);
  }
}

/** @param read so many bytes of the file from an offset */
export function sectionIn(read: (offset: number, bytes: number) => Buffer): Range | undefined {
  const header = read(0, HEADER.bytes);
  const entryBytes = header.readUInt16LE(HEADER.sectionBytes);
  const count = header.readUInt16LE(HEADER.sectionCount);
  const isElf = header.toString("latin1", 0, 4) === "\x7fELF";
  if (!isElf || count === 0) return undefined;
  const table = read(Number(header.readBigUInt64LE(HEADER.sections)), entryBytes * count);
  const entries = Array.from({ length: count }, (_, i) => table.subarray(i * entryBytes));
  const field = (entry: Buffer, at: number) => Number(entry.readBigUInt64LE(at));
  const namesEntry = entries[header.readUInt16LE(HEADER.names)];
  if (namesEntry === undefined) return undefined;
  const names = read(field(namesEntry, ENTRY.offset), field(namesEntry, ENTRY.size));
  const found = entries.find((entry) => {
    const at = entry.readUInt32LE(ENTRY.name);
    return names.toString("latin1", at, at + SECTION.length + 1) === `${SECTION}\0`;
  });
  if (found === undefined || field(found, ENTRY.address) === 0) return undefined;
  return { start: field(found, ENTRY.address), bytes: field(found, ENTRY.size) };
}

/**
 * The whole pages of a range that are in memory and as they are in the file: no page that was ever
 * written is among them.
 */
export function pagesAsInFile(range: Range, pageBytes: number): Range[] {
  const first = Math.ceil(range.start / pageBytes);
  const end = Math.floor((range.start + range.bytes) / pageBytes);
  const bytes = Buffer.alloc(8 * Math.max(0, end - first));
  const file = openSync("/proc/self/pagemap", "r");
  try {
    readSync(file, bytes, 0, bytes.length, first * 8);
  } finally {
    closeSync(file);
  }
  return runsOf(bytes, first, pageBytes);
}

/** @param pagemap entries of eight bytes, from the page with the number `first` on */
export function runsOf(pagemap: Buffer, first: number, pageBytes: number): Range[] {
  const runs: Range[] = [];
  for (let i = 0; i < pagemap.length / 8; i++) {
    const entry = pagemap.readBigUInt64LE(i * 8);
    if ((entry & IS_PRESENT) === 0n || (entry & IS_OF_FILE) === 0n) continue;
    const start = (first + i) * pageBytes;
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.bytes === start) last.bytes += pageBytes;
    else runs.push({ start, bytes: pageBytes });
  }
  return runs;
}
