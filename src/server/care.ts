import type { ApiDeps } from "../api/deps.ts";
import { mountNamed } from "../api/read/volume-summary.ts";
import type { Clock } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Happening } from "../model/event.ts";
import type { NodeId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import type { SqliteStore } from "../store/sqlite/sqlite-store.ts";
import { type BackupSchedule, ClusterBackups } from "./backup/cluster-backups.ts";
import { DiskRelief } from "./disk-relief.ts";
import { Happenings } from "./happenings.ts";
import { VolumeMoves } from "./volume-moves.ts";

export interface CareOptions {
  store: SqliteStore;
  clock: Clock;
  log: Log;
  dataDir: string;
  orchdVersion: string;
  /** Backups that the server makes by itself; absent means none. */
  backups: BackupSchedule | undefined;
  session(nodeId: NodeId): AgentSession | undefined;
}

/** What keeps data safe beside what decides: backups, volumes that move, room on disks. */
export class Care {
  readonly #options: CareOptions;
  readonly #happenings = new Happenings();
  readonly #backups: ClusterBackups;
  readonly #moves: VolumeMoves;
  #relief: DiskRelief | undefined;

  constructor(options: CareOptions) {
    const { store, clock, log, dataDir, orchdVersion, backups } = options;
    this.#options = options;
    const onHappening = (happening: Happening) => this.tell(happening);
    const session = (nodeId: NodeId) => options.session(nodeId);
    this.#backups = new ClusterBackups({
      source: { store, dataDir, orchdVersion, now: () => clock.now() },
      schedule: backups,
      clock,
      log,
      onHappening,
    });
    this.#moves = new VolumeMoves({ store, clock, log, session, mountOf: mountNamed, onHappening });
  }

  /** @throws OrchdError `forbidden` when the directory for backups can't be had */
  start(): void {
    this.#backups.start();
  }

  /** The server decides from now on. */
  decide(): void {
    const { store, clock, log } = this.#options;
    const session = (nodeId: NodeId) => this.#options.session(nodeId);
    this.#relief = new DiskRelief({ store, clock, log, session });
    this.#moves.start().catch((error: unknown) => {
      log.error(`moves of volumes: ${messageChainOf(error)}`);
    });
  }

  tell(happening: Happening): void {
    this.#happenings.tell(happening);
  }

  /** What the API asks for. */
  forPeople(): Pick<ApiDeps, "moveVolumes" | "onHappening" | "clusterBackup"> {
    return {
      moveVolumes: (move, tell) => this.#moves.move(move, tell),
      onHappening: (listener) => this.#happenings.listen(listener),
      clusterBackup: {
        make: (passphrase) => this.#backups.make(passphrase),
        status: () => this.#backups.status(),
      },
    };
  }

  close(): void {
    this.#backups.close();
    this.#moves.close();
    this.#relief?.close();
  }
}
