import { z } from "zod";
import { formatBytes } from "../lib/text.ts";

export const diskLevelSchema = z.enum([
  "roomy",
  /** What nobody needs is removed. */
  "low",
  /** No task is started. */
  "full",
]);
export type DiskLevel = z.infer<typeof diskLevelSchema>;

/** How full the fullest of a node's disks is; numbers only where there is too little room. */
export const nodeDiskSchema = z.object({
  level: diskLevelSchema,
  /** A directory on it. */
  path: z.string().max(4096).optional(),
  freeBytes: z.int().min(0).optional(),
  totalBytes: z.int().min(0).optional(),
});
export type NodeDisk = z.infer<typeof nodeDiskSchema>;

/** As `statfs` tells of a file system. */
export interface DiskSpace {
  path: string;
  freeBytes: number;
  totalBytes: number;
  /** Files that can still be made; absent where the file system counts none. */
  freeFiles?: number;
  totalFiles?: number;
}

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
/** A part of the disk, but on large disks never more than so much. */
const LOW = { part: 0.1, bytes: 5 * GIB };
const FULL = { part: 0.03, bytes: GIB };
/** Whatever the disk, with less nothing works. */
const FULL_BYTES_MIN = 64 * MIB;
/** So much more is to be free before a level is left, or it would come and go. */
const LEAVE = 1.25;

/** The level of the fullest disk; `before` is the one that was told last. */
export function levelOfDisks(disks: readonly DiskSpace[], before: DiskLevel): NodeDisk {
  const levels = disks.map((disk) => ({ disk, level: levelOf(disk, before) }));
  const worst = levels.toSorted((a, b) => rankOf(b.level) - rankOf(a.level))[0];
  if (worst === undefined || worst.level === "roomy") return { level: "roomy" };
  const { path, freeBytes, totalBytes } = worst.disk;
  return { level: worst.level, path, freeBytes, totalBytes };
}

/** `61 MiB of 15 GiB are free at /var/lib/containers` */
export function formatDisk({ path = "", freeBytes = 0, totalBytes = 0 }: NodeDisk): string {
  return `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free at ${path}`;
}

function levelOf(disk: DiskSpace, before: DiskLevel): DiskLevel {
  if (isBelow(disk, FULL, FULL_BYTES_MIN, before === "full" ? LEAVE : 1)) return "full";
  return isBelow(disk, LOW, 2 * FULL_BYTES_MIN, before === "roomy" ? 1 : LEAVE) ? "low" : "roomy";
}

function isBelow(
  { freeBytes, totalBytes, freeFiles, totalFiles }: DiskSpace,
  limit: { part: number; bytes: number },
  bytesMin: number,
  factor: number,
): boolean {
  const bytes = Math.max(Math.min(totalBytes * limit.part, limit.bytes), bytesMin);
  // Of a disk that is smaller than that a part has to do.
  if (freeBytes < Math.min(bytes, totalBytes / 2) * factor) return true;
  if (freeFiles === undefined || totalFiles === undefined) return false;
  return freeFiles < totalFiles * limit.part * factor;
}

function rankOf(level: DiskLevel): number {
  return diskLevelSchema.options.indexOf(level);
}
