import { describe, expect, test } from "bun:test";
import {
  type DiskLevel,
  type DiskSpace,
  formatDisk,
  levelOfDisks,
} from "../../../src/model/disk.ts";

const GIB = 1024 ** 3;
const aDisk = (freeGib: number, totalGib = 16, over: Partial<DiskSpace> = {}): DiskSpace => ({
  path: "/var",
  freeBytes: freeGib * GIB,
  totalBytes: totalGib * GIB,
  ...over,
});
const level = (disk: DiskSpace, before: DiskLevel = "roomy") => levelOfDisks([disk], before).level;

describe("a disk", () => {
  test("is low below a tenth and full below three hundredths", () => {
    expect([level(aDisk(2)), level(aDisk(1.5)), level(aDisk(0.5)), level(aDisk(0.4))]).toEqual([
      "roomy",
      "low",
      "low",
      "full",
    ]);
  });

  test("that is large is low below 5 GiB and full below 1 GiB", () => {
    expect([level(aDisk(6, 4000)), level(aDisk(4, 4000)), level(aDisk(0.9, 4000))]).toEqual([
      "roomy",
      "low",
      "full",
    ]);
  });

  test("leaves a level only when there is a quarter more than it takes", () => {
    expect([level(aDisk(1.7), "low"), level(aDisk(2.1), "low")]).toEqual(["low", "roomy"]);
    expect([level(aDisk(0.55), "full"), level(aDisk(0.7), "full")]).toEqual(["full", "low"]);
  });

  test("is full as well when no more files can be made", () => {
    expect(level(aDisk(10, 16, { freeFiles: 10, totalFiles: 1000 }))).toBe("full");
    expect(level(aDisk(10, 16, { freeFiles: 50, totalFiles: 1000 }))).toBe("low");
  });

  test("is told of by the fullest, with its numbers, and in no words where there is room", () => {
    const disk = levelOfDisks([aDisk(10), aDisk(1, 16, { path: "/data" })], "roomy");
    expect(formatDisk(disk)).toBe("1 GiB of 16 GiB are free at /data");
    expect(levelOfDisks([aDisk(10)], "full")).toEqual({ level: "roomy" });
    expect(levelOfDisks([], "full")).toEqual({ level: "roomy" });
  });
});
