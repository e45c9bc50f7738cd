import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../lib/clock.ts";
import { messageChainOf, OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { equalJson } from "../../lib/order.ts";
import { formatBytes } from "../../lib/text.ts";
import { Trouble } from "../../lib/trouble.ts";
import type { Assignment } from "../../model/assignment.ts";
import { parseCron } from "../../model/cron.ts";
import type { Happening } from "../../model/event.ts";
import { nextFire } from "../../model/fire-times.ts";
import { timeZoneOf } from "../../model/time-zone.ts";
import type { VolumeBackup } from "../../model/volume-backup.ts";
import type { VolumeCalls } from "../../model/volume.ts";
import { Limit } from "../limit.ts";

/** After one that failed, unless its next time comes before. */
const RETRY_MS = 600_000;
const DRAFT_PREFIX = ".draft-";

export interface VolumeBackupsOptions {
  clock: Clock;
  log: Log;
  volumes: VolumeCalls;
  /** Where backups are kept that name no directory; undefined: such fail. */
  directory: string | undefined;
  /** The node's host name. */
  hostname: string;
  /** @throws OrchdError `forbidden` for a directory that the node does not give */
  checkDirectory(path: string): void;
  onHappening(happening: Happening): void;
}

interface Plan {
  backup: VolumeBackup;
  timer: Timer | undefined;
  readonly trouble: Trouble;
}

/**
 * Makes backups of this node's volumes by their schedules, whether a server is in reach or not.
 * What was due while the machine was off is made up for once.
 */
export class VolumeBackups {
  readonly #options: VolumeBackupsOptions;
  readonly #plans = new Map<string, Plan>();
  /** One after the other: each of them is busy with the same disk. */
  readonly #turn = new Limit(1);
  /** In names of drafts: what goes wrong with one reads the same each time. */
  readonly #draftId = randomUUID();
  #isClosed = false;

  constructor(options: VolumeBackupsOptions) {
    this.#options = options;
  }

  /** Takes the backups that the node's assignments ask for, in place of those of before. */
  plan(assignments: Iterable<Assignment>): void {
    const wanted = new Map<string, VolumeBackup>();
    for (const { backups = [], desired } of assignments) {
      if (desired !== "running") continue;
      for (const backup of backups) {
        if (!wanted.has(backup.volume)) wanted.set(backup.volume, backup);
      }
    }
    for (const [volume, { backup, timer }] of this.#plans) {
      if (equalJson(wanted.get(volume), backup)) continue;
      timer?.cancel();
      this.#plans.delete(volume);
    }
    const { log } = this.#options;
    for (const [volume, backup] of wanted) {
      if (this.#plans.has(volume)) continue;
      const trouble = new Trouble(log, `volume ${volume} is backed up again`, "error");
      const plan: Plan = { backup, timer: undefined, trouble };
      this.#plans.set(volume, plan);
      this.#waitFrom(plan, this.#latestOf(backup) ?? this.#options.clock.now());
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#plans.values()) timer?.cancel();
    this.#plans.clear();
  }

  /** @param after the last time that was dealt with, in ms since 1970 */
  #waitFrom(plan: Plan, after: number): void {
    const { cron: line, timeZone } = plan.backup;
    const [parsed, zone] = [parseCron(line), timeZoneOf(timeZone)];
    if ("problem" in parsed || zone === undefined) return;
    const { clock } = this.#options;
    // A clock that was far ahead must not keep the next one waiting for years.
    const at = nextFire(parsed.cron, zone, Math.min(after, clock.now()));
    if (at !== undefined) this.#waitUntil(plan, at);
  }

  #waitUntil(plan: Plan, at: number): void {
    const { clock } = this.#options;
    if (this.#isClosed) return;
    plan.timer = clock.after(at - clock.now(), () => {
      // A wait of more than some weeks comes in parts.
      if (clock.now() < at) return this.#waitUntil(plan, at);
      void this.#turn.run(() => this.#run(plan));
    });
  }

  async #run(plan: Plan): Promise<void> {
    const { backup, trouble } = plan;
    const { clock, log, onHappening } = this.#hooks();
    if (this.#isClosed || this.#plans.get(backup.volume) !== plan) return;
    const name = backup.volume;
    try {
      const { path, bytes } = await this.#make(backup);
      prune(this.#directoryOf(backup), this.#stemOf(backup), backup.keep);
      trouble.over();
      log.info(`volume ${name} is backed up to ${path}`);
      onHappening({
        kind: "volume",
        action: "backup",
        name,
        message: `${path}, ${formatBytes(bytes)}`,
      });
      this.#waitFrom(plan, clock.now());
    } catch (error) {
      const message = messageChainOf(error).slice(0, 900);
      if (trouble.note(`the backup of volume ${name} failed: ${message}`)) {
        onHappening({ kind: "volume", action: "backup failed", name, message });
      }
      this.#waitUntil(plan, clock.now() + RETRY_MS);
    }
  }

  #hooks() {
    const { clock, log } = this.#options;
    const onHappening = (happening: Happening) => this.#options.onHappening(happening);
    return { clock, log, onHappening };
  }

  async #make(backup: VolumeBackup): Promise<{ path: string; bytes: number }> {
    const directory = this.#directoryOf(backup);
    if (backup.to !== undefined) this.#options.checkDirectory(backup.to);
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const stem = this.#stemOf(backup);
    removeDrafts(directory, stem);
    const reading = await this.#options.volumes.read(backup.volume, backup.how);
    const draft = join(directory, `${DRAFT_PREFIX}${stem}-${this.#draftId}`);
    let file: FileHandle | undefined;
    let bytes = 0;
    try {
      file = await open(draft, "wx", 0o600);
      for await (const piece of reading.pieces) {
        await writeAll(file, piece);
        bytes += piece.length;
      }
      // The volume's tasks need not wait for the disk.
      await reading.close();
      await file.sync();
      await file.close();
      const path = join(directory, nameFor(stem, this.#options.clock.now()));
      fs.renameSync(draft, path);
      return { path, bytes };
    } catch (error) {
      await reading.close();
      await file?.close().catch(() => {});
      fs.rmSync(draft, { force: true });
      if (systemCodeOf(error) !== "ENOSPC") throw error;
      throw new OrchdError("noSpace", `the disk with ${directory} is full`, { cause: error });
    }
  }

  #directoryOf({ to, volume }: VolumeBackup): string {
    const { directory } = this.#options;
    if (to !== undefined) return to;
    if (directory !== undefined) return join(directory, volume);
    throw new OrchdError("invalid", "the node keeps no backups: name a directory with `to`");
  }

  /**
   * How names of its backups begin. A directory that was named may be one that nodes share, and
   * each of them may have a volume of that name: the node's name keeps theirs apart.
   */
  #stemOf({ to, volume }: VolumeBackup): string {
    return to === undefined ? volume : `${volume}@${this.#options.hostname}`;
  }

  /** When the newest backup that is there was made. */
  #latestOf(backup: VolumeBackup): number | undefined {
    try {
      const [newest] = backupsIn(this.#directoryOf(backup), this.#stemOf(backup));
      return newest === undefined ? undefined : timeOf(newest);
    } catch {
      // No directory yet: nor is there a backup.
      return undefined;
    }
  }
}

/** Never anything that this did not make. */
function prune(directory: string, stem: string, keep: number): void {
  for (const name of backupsIn(directory, stem).slice(keep)) fs.rmSync(join(directory, name));
}

/** The newest first: their names are their times. */
function backupsIn(directory: string, stem: string): string[] {
  const isOurs = (name: string) =>
    name.startsWith(`${stem}-`) && /^\d{8}T\d{6}Z\.tar$/.test(name.slice(stem.length + 1));
  return fs.readdirSync(directory).filter(isOurs).sort().reverse();
}

function removeDrafts(directory: string, stem: string): void {
  for (const name of fs.readdirSync(directory)) {
    if (name.startsWith(`${DRAFT_PREFIX}${stem}-`)) fs.rmSync(join(directory, name));
  }
}

function nameFor(stem: string, at: number): string {
  return `${stem}-${new Date(at).toISOString().replace(/[-:]|\.\d+/g, "")}.tar`;
}

function timeOf(name: string): number {
  const [, year, month, day, hour, minute, second] =
    /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.tar$/.exec(name) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
  }
}
