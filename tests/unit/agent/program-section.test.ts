import { expect, test } from "bun:test";
import { pagesAsInFile, runsOf, sectionIn } from "../../../src/agent/program-section.ts";

/** A 64-bit ELF file that has the names of its sections and one section more. */
function anElf(name: string, address: number, size: number): Buffer {
  const names = Buffer.from(`\0.shstrtab\0${name}\0`, "latin1");
  const file = Buffer.alloc(64 + names.length + 3 * 64);
  file.write("\x7fELF", "latin1");
  names.copy(file, 64);
  const table = 64 + names.length;
  file.writeBigUInt64LE(BigInt(table), 0x28);
  file.writeUInt16LE(64, 0x3a);
  file.writeUInt16LE(3, 0x3c);
  file.writeUInt16LE(1, 0x3e);
  const entry = (index: number, nameAt: number, at: number, offset: number, bytes: number) => {
    const start = table + index * 64;
    file.writeUInt32LE(nameAt, start);
    file.writeBigUInt64LE(BigInt(at), start + 16);
    file.writeBigUInt64LE(BigInt(offset), start + 24);
    file.writeBigUInt64LE(BigInt(bytes), start + 32);
  };
  entry(1, 1, 0, 64, names.length);
  entry(2, 11, address, 4096, size);
  return file;
}

const readerOf = (file: Buffer) => (offset: number, bytes: number) =>
  Buffer.concat([file.subarray(offset, offset + bytes)], bytes);

test("the program is found by the name of its section", () => {
  expect(sectionIn(readerOf(anElf(".bun", 0x6a22000, 5000)))).toEqual({
    start: 0x6a22000,
    bytes: 5000,
  });
});

test("an executable that has no program, or is loaded anywhere, has none to give back", () => {
  expect(sectionIn(readerOf(anElf(".bun_builtins", 0x17a2b40, 5000)))).toBeUndefined();
  expect(sectionIn(readerOf(anElf(".bun", 0, 5000)))).toBeUndefined();
  expect(sectionIn(readerOf(Buffer.from("#!/bin/sh\n")))).toBeUndefined();
});

test("pages that are away, swapped or were written are left alone", () => {
  const [ofFile, written, swapped, away] = [0b101n << 61n, 1n << 63n, 1n << 62n, 0n];
  const entries = [ofFile, ofFile, written, ofFile, swapped, away, ofFile];
  const pagemap = Buffer.alloc(8 * entries.length);
  entries.forEach((entry, i) => pagemap.writeBigUInt64LE(entry, i * 8));
  expect(runsOf(pagemap, 16, 4096)).toEqual([
    { start: 0x10000, bytes: 0x2000 },
    { start: 0x13000, bytes: 0x1000 },
    { start: 0x16000, bytes: 0x1000 },
  ]);
});

test("a range that has no whole page has none to give back", () => {
  expect(pagesAsInFile({ start: 0x1001, bytes: 0x1ffe }, 4096)).toEqual([]);
});
