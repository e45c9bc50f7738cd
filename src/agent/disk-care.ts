import { statfs } from "node:fs/promises";
import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { formatBytes } from "../lib/text.ts";
import { Trouble } from "../lib/trouble.ts";
import { type DiskSpace, formatDisk, levelOfDisks, type NodeDisk } from "../model/disk.ts";
import type { Upkeep } from "../runtime/driver.ts";

const LOOK_MS = 10_000;

export interface DiskCareOptions {
  clock: Clock;
  log: Log;
  /** Absent for a runtime that keeps nothing on a disk. */
  upkeep: Upkeep | undefined;
  /** Directories on the disks that are looked after. */
  paths: readonly string[];
  /** Containers whose logs are kept. */
  containerIds(): string[];
  /** Images that are in use here, whatever else is said. */
  imagesInUse(): string[];
  onChange(disk: NodeDisk): void;
  /** For tests: what the disks say of themselves. */
  measure?: (paths: readonly string[]) => Promise<DiskSpace[]>;
}

/**
 * Looks at how full the disks are. Where there is too little room it removes, in this order and no
 * more than it takes: parts of logs that were rotated out, and then, when the server has said what
 * is still needed, copies of images for others, images without a name and other images. What has
 * lost its name may be what a revision is pinned to, which the server alone knows. Never a volume.
 */
export class DiskCare {
  readonly #options: DiskCareOptions;
  readonly #trouble: Trouble;
  #disk: NodeDisk;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: DiskCareOptions, disk: NodeDisk = { level: "roomy" }) {
    this.#options = options;
    this.#trouble = new Trouble(options.log, "the disk is looked after again");
    this.#disk = disk;
  }

  /** Looks every now and then from now on. */
  start(): void {
    this.#timer = this.#options.clock.after(LOOK_MS, () => void this.#lookAgain());
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** @throws OrchdError `noSpace` while there is no room for another task */
  requireRoom(): void {
    if (this.#disk.level !== "full") return;
    const message = `the node's disk is full: ${formatDisk(this.#disk)}`;
    throw new OrchdError("noSpace", message, { retryable: true });
  }

  /**
   * Removes images that are not in use and not among these, those without a name first and then the
   * oldest, until there is room again; none where there is. Answers what it removed.
   * @param dropCopies makes room first with what can be had again; answers how much
   */
  async pruneImages(
    keep: readonly string[],
    dropCopies?: () => Promise<number> | undefined,
  ): Promise<string[]> {
    const { upkeep, log } = this.#options;
    if (upkeep === undefined || (await this.#isRoomy())) return [];
    const freed = (await dropCopies?.()) ?? 0;
    if (freed > 0) log.info(`removed copies of images to make room: ${formatBytes(freed)}`);
    const needed = [...keep, ...this.#options.imagesInUse()];
    const removed = await upkeep.removeImages(needed, () => this.#isRoomy());
    if (removed.length > 0) log.info(`removed to make room: ${removed.join(", ")}`);
    await this.look();
    return removed;
  }

  /** One look, with what follows on it. */
  async look(): Promise<void> {
    const { upkeep, log } = this.#options;
    try {
      await upkeep?.keepLogs(this.#options.containerIds());
      if (!(await this.#isRoomy())) await upkeep?.dropOldLogs(this.#options.containerIds());
      this.#trouble.over();
    } catch (error) {
      // A runtime that restarts: the next look comes soon.
      this.#trouble.note(`the disk is not looked after now: ${messageChainOf(error)}`);
    }
    const disk = await this.#measured();
    if (this.#isClosed) return;
    const isNews = disk.level !== this.#disk.level;
    this.#disk = disk;
    if (!isNews) return;
    if (disk.level !== "roomy") log.warn(`the disk is ${disk.level}: ${formatDisk(disk)}`);
    this.#options.onChange(disk);
  }

  async #lookAgain(): Promise<void> {
    await this.look();
    if (!this.#isClosed) this.start();
  }

  async #isRoomy(): Promise<boolean> {
    return (await this.#measured()).level === "roomy";
  }

  async #measured(): Promise<NodeDisk> {
    const { paths, measure = measureDisks } = this.#options;
    return levelOfDisks(await measure(paths), this.#disk.level);
  }
}

/** The directories on whose disks an agent works, and how full these are when it begins. */
export async function beginDiskCare(
  runtime: { upkeep: Upkeep | undefined },
  dataDir: string,
): Promise<{ diskPaths: string[]; disk: NodeDisk }> {
  const storage = await runtime.upkeep?.storagePath();
  const diskPaths = [dataDir, ...(storage === undefined ? [] : [storage])];
  return { diskPaths, disk: levelOfDisks(await measureDisks(diskPaths), "roomy") };
}

/** How full the disks of these directories are; nothing of those that are not there. */
export async function measureDisks(paths: readonly string[]): Promise<DiskSpace[]> {
  const found = await Promise.all(paths.map(spaceAt));
  return found.filter((space) => space !== undefined);
}

async function spaceAt(path: string): Promise<DiskSpace | undefined> {
  try {
    const { bavail, blocks, bsize, ffree, files } = await statfs(path);
    const space = { path, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    return files === 0 ? space : { ...space, freeFiles: ffree, totalFiles: files };
  } catch {
    // A directory that is not there says nothing of any disk.
    return undefined;
  }
}
