import { z } from "zod";
import type { VolumeMount } from "./container.ts";

/** What a volume can be called, in every runtime. */
export const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;

/** What becomes of the tasks that use a volume while its files are read. */
export const consistencySchema = z.enum([
  /** They go on: files that change meanwhile may be torn. */
  "live",
  /** They are frozen, and go on afterwards as if nothing had been; what they hold in memory is not
   *  in the files. */
  "freeze",
  /** They are stopped, and started again afterwards. */
  "stop",
]);
export type Consistency = z.infer<typeof consistencySchema>;

/** A volume as its node's runtime has it. */
export const nodeVolumeSchema = z.object({
  /** Its name in the runtime. */
  name: z.string().max(255),
  driver: z.string().max(255),
  labels: z.record(z.string().max(4096), z.string().max(32_768)),
  /** Milliseconds since 1970, by the node's clock. */
  createdAt: z.int(),
  /** Whether orchd made it there. */
  isOurs: z.boolean(),
  /** What it takes on the disk; absent where nobody asked, or it can't be told. */
  sizeBytes: z.int().optional(),
  files: z.int().optional(),
  /** Why its size can't be told. */
  problem: z.string().max(1000).optional(),
});
export type NodeVolume = z.infer<typeof nodeVolumeSchema>;

/** What a reading or writing of a volume came to. */
export const volumeContentsSchema = z.object({
  sha256: z.string().max(64),
  entries: z.int(),
  bytes: z.int(),
  changed: z.int(),
  skipped: z.int(),
});
export type VolumeContents = z.infer<typeof volumeContentsSchema>;

export interface WriteVolumeOptions {
  /** Whether tasks that use it are stopped for that, and started again. */
  stop: boolean;
  /** How it is to be made where it is not there; absent means plainly. */
  mount?: VolumeMount | undefined;
}

/** Tasks that stand still since their volume is being moved. */
export interface VolumeHold {
  /** They go on where they are. */
  release(): Promise<void>;
  /**
   * They may not: the node hears of it by the set of that generation or a later one; where none is
   * named, by the next one.
   */
  leave(generation?: number): Promise<void>;
}

/** What a server asks of a node's volumes. */
export interface VolumeCalls {
  /** All of them, or those of these names; sizes are measured now where they are asked for. */
  list(options: { names?: readonly string[] | undefined; sizes: boolean }): Promise<NodeVolume[]>;
  /** Where a volume's files are; absent for a node that is another machine. */
  place?(name: string): Promise<VolumePlace>;
  /**
   * The files of a volume as an archive (src/core/archive); `held` while a hold lasts. What stands
   * still for it goes on when the stream has ended or was given up.
   * @throws OrchdError `notFound`, `conflict`
   */
  read(name: string, how: Consistency | "held"): Promise<VolumeReading>;
  /**
   * Puts the archive's content in the place of a volume's, all of it or nothing.
   * @throws OrchdError `conflict` while tasks use it; `damaged`, `invalid`, `noSpace`
   */
  write(
    name: string,
    archive: AsyncIterable<Uint8Array>,
    options: WriteVolumeOptions,
  ): Promise<VolumeContents>;
  /** Stops the tasks that use a volume, until it is said what is to become of them. */
  hold(name: string): Promise<VolumeHold>;
}

/** The directory of a volume's files, for those who may read them right there. */
export const volumePlaceSchema = z.object({
  path: z.string(),
  /** Which directory of which machine that is, since others may have one by that path as well. */
  identity: z.string(),
});
export type VolumePlace = z.infer<typeof volumePlaceSchema>;

/** An archive on its way out; to be closed in any case. */
export interface VolumeReading {
  /** Each is good until the next one is asked for. */
  pieces: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** A volume on one node, as people see it. */
export const volumeSummarySchema = z.object({
  name: z.string(),
  /** The node's host name. */
  node: z.string(),
  /** The stack whose services use it; absent where none does. */
  stack: z.string().optional(),
  driver: z.string(),
  labels: z.record(z.string(), z.string()),
  /** Whether orchd made it there. */
  isOurs: z.boolean(),
  /** Whether its node could be asked: of one that is away only what uses it is known. */
  isReached: z.boolean(),
  createdAt: z.int().optional(),
  /** Names of the tasks there that use it and have not ended. */
  usedBy: z.array(z.string()),
  sizeBytes: z.int().optional(),
  files: z.int().optional(),
  problem: z.string().optional(),
});
export type VolumeSummary = z.infer<typeof volumeSummarySchema>;

/** How far the move of volumes to another node is. */
export const moveProgressSchema = z.object({
  step: z.enum(["stopping", "copying", "starting", "done"]),
  volume: z.string().optional(),
  /** Of the volume's files, so far. */
  bytes: z.int().optional(),
});
export type MoveProgress = z.infer<typeof moveProgressSchema>;
