import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import type { Clock, Timer } from "../../lib/clock.ts";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { formatBytes } from "../../lib/text.ts";
import { Trouble } from "../../lib/trouble.ts";
import type { ClusterBackupStatus } from "../../model/cluster-backup.ts";
import type { Happening } from "../../model/event.ts";
import { type BackupSource, backUpCluster, removeDrafts } from "./back-up.ts";

/** After one that failed. */
const RETRY_MS = 600_000;
const NAME = /^orchd-cluster-(\d{8})T(\d{6})Z\.(tar|sealed\.tar)$/;

/** Backups that the server makes by itself. */
export interface BackupSchedule {
  directory: string;
  everyMs: number;
  /** How many of them are kept. */
  keep: number;
  passphrase?: string;
}

export interface ClusterBackupsOptions {
  source: BackupSource;
  schedule: BackupSchedule | undefined;
  clock: Clock;
  log: Log;
  onHappening(happening: Happening): void;
}

/** Makes backups of the cluster, when people ask and by a schedule, and knows how that went. */
export class ClusterBackups {
  readonly #options: ClusterBackupsOptions;
  readonly #trouble: Trouble;
  /** In the names of drafts: what goes wrong with it reads the same each time. */
  readonly #draftId = randomUUID();
  readonly #status: Pick<ClusterBackupStatus, "last" | "failure"> = {};
  #timer: Timer | undefined;
  #nextAt = 0;
  #isClosed = false;

  constructor(options: ClusterBackupsOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options.log, "the cluster is backed up again", "error");
  }

  /** @throws OrchdError `forbidden`, `invalid` when the directory of the schedule can't be had */
  start(): void {
    const { source, schedule, clock } = this.#options;
    removeDrafts(source.dataDir);
    if (schedule === undefined) return;
    const newest = prepareDirectory(schedule.directory);
    if (newest !== undefined) this.#status.last = newest;
    const due = newest === undefined ? clock.now() : newest.at + schedule.everyMs;
    // A clock that was put back must not keep the next one waiting for years.
    this.#waitUntil(Math.min(due, clock.now() + schedule.everyMs));
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  status(): ClusterBackupStatus {
    const { schedule } = this.#options;
    if (schedule === undefined) return { ...this.#status };
    const { directory, everyMs, keep, passphrase } = schedule;
    const sealed = passphrase !== undefined;
    const nextAt = this.#nextAt;
    return { schedule: { directory, everyMs, keep, sealed, nextAt }, ...this.#status };
  }

  /** @throws OrchdError what `backUpCluster` throws */
  async make(passphrase?: string): Promise<ReadableStream<Uint8Array>> {
    const backup = await backUpCluster(this.#options.source, passphrase);
    const pieces = backup.stream[Symbol.asyncIterator]();
    const end = () => {
      void pieces.return?.();
      backup.discard();
    };
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const next = await pieces.next();
            if (next.done !== true) return controller.enqueue(next.value);
            this.#noteGood({ at: backup.manifest.createdAt, bytes: backup.bytes });
            controller.close();
            end();
          } catch (error) {
            end();
            throw error;
          }
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    );
  }

  /** Makes the one that is due; for tests and the timer. */
  async runScheduled(): Promise<void> {
    const { schedule, clock } = this.#options;
    if (schedule === undefined || this.#isClosed) return;
    try {
      await this.#write(schedule);
      prune(schedule);
      this.#trouble.over();
      this.#waitUntil(clock.now() + schedule.everyMs);
    } catch (error) {
      const message = messageChainOf(error);
      this.#status.failure = { at: clock.now(), message };
      if (this.#trouble.note(`the scheduled backup of the cluster failed: ${message}`)) {
        this.#tell("backup failed", message);
      }
      this.#waitUntil(clock.now() + Math.min(RETRY_MS, schedule.everyMs));
    }
  }

  async #write({ directory, passphrase }: BackupSchedule): Promise<void> {
    const { source, log } = this.#options;
    const backup = await backUpCluster(source, passphrase, this.#draftId);
    const draft = join(directory, `.draft-${this.#draftId}`);
    try {
      const at = backup.manifest.createdAt;
      const path = join(directory, nameFor(at, passphrase !== undefined));
      const descriptor = fs.openSync(draft, "wx", 0o600);
      try {
        for await (const bytes of backup.stream) writeAll(descriptor, bytes);
        fs.fsyncSync(descriptor);
      } finally {
        fs.closeSync(descriptor);
      }
      fs.renameSync(draft, path);
      this.#noteGood({ at, bytes: backup.bytes, path });
      log.info(`the cluster is backed up to ${path}`);
      this.#tell("backup", `${path}, ${formatBytes(backup.bytes)}`);
    } catch (error) {
      fs.rmSync(draft, { force: true });
      throw error;
    } finally {
      backup.discard();
    }
  }

  #noteGood(last: NonNullable<ClusterBackupStatus["last"]>): void {
    this.#status.last = last;
    delete this.#status.failure;
  }

  #tell(action: string, message: string): void {
    const name = this.#options.source.store.clusterId;
    this.#options.onHappening({ kind: "cluster", action, name, message: message.slice(0, 1000) });
  }

  #waitUntil(at: number): void {
    const { clock } = this.#options;
    this.#nextAt = at;
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = clock.after(at - clock.now(), () => {
      // A wait of more than some weeks comes in parts.
      if (clock.now() < this.#nextAt) return this.#waitUntil(this.#nextAt);
      void this.runScheduled();
    });
  }
}

/** Answers the newest backup that is there. */
function prepareDirectory(
  directory: string,
): { at: number; bytes: number; path: string } | undefined {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of fs.readdirSync(directory)) {
      if (name.startsWith(".draft-")) fs.rmSync(join(directory, name), { force: true });
    }
    const [newest] = backupsIn(directory);
    if (newest === undefined) return undefined;
    const path = join(directory, newest);
    return { at: timeOf(newest), bytes: fs.statSync(path).size, path };
  } catch (cause) {
    const message = `backups can't be kept in ${directory}: name another --backup-dir`;
    throw new OrchdError("forbidden", message, { cause });
  }
}

/** Never anything that this did not make. */
function prune({ directory, keep }: BackupSchedule): void {
  for (const name of backupsIn(directory).slice(keep)) fs.rmSync(join(directory, name));
}

/** The newest first: their names are their times. */
function backupsIn(directory: string): string[] {
  return fs
    .readdirSync(directory)
    .filter((name) => NAME.test(name))
    .sort()
    .reverse();
}

function nameFor(at: number, isSealed: boolean): string {
  const stamp = new Date(at).toISOString().replace(/[-:]|\.\d+/g, "");
  return `orchd-cluster-${stamp}.${isSealed ? "sealed.tar" : "tar"}`;
}

function timeOf(name: string): number {
  const [, date = "", time = ""] = NAME.exec(name) ?? [];
  const [year, month, day] = [date.slice(0, 4), date.slice(4, 6), date.slice(6)];
  const [hour, minute, second] = [time.slice(0, 2), time.slice(2, 4), time.slice(4)];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(descriptor, bytes, at);
}
