import type { Clock, Timer } from "../lib/clock.ts";
import { isWithin, parseSubnet } from "../core/network/address.ts";
import type { HeardNews } from "../core/network/merge-map.ts";
import { NOTICE_VERSION_MAX, type TaskNews, type TaskNotice } from "../core/network/task-notice.ts";
import type { TaskId } from "../model/ids.ts";
import type { MovingMap } from "../model/network-change.ts";

/** What is remembered of others; more is left to the server's map. */
const NEWS_MAX = 4096;
/**
 * With a server the map is right again this long after news came: nodes that were away from it too
 * have told it by then.
 */
const AGE_MS = 15_000;

export interface PeerNewsOptions {
  clock: Clock;
  /** Whether a session with a server is under way. */
  isLed(): boolean;
  /** The map counts again for some tasks. */
  onForget(): void;
}

/**
 * What other nodes said of their tasks by gossip. It counts before the server's map: while there is
 * no server until there is one again, and otherwise for as long as the map may lag behind.
 */
export class PeerNews {
  readonly news = new Map<TaskId, HeardNews>();
  readonly #options: PeerNewsOptions;
  /** Of `news`, what was there when the last age began. */
  #old = new Map<TaskId, HeardNews>();
  #timer: Timer | undefined;

  constructor(options: PeerNewsOptions) {
    this.#options = options;
  }

  /** Answers whether anything of it is new and can be true. */
  take({ nodeId, version, tasks }: TaskNotice, map: MovingMap): boolean {
    const subnet = parseSubnet(map.nodes.get(nodeId)?.subnet ?? "");
    if (subnet === undefined) return false;
    let isNew = false;
    for (const news of tasks) {
      const known = this.news.get(news.id);
      if (known !== undefined && !isNewer(version, known.version)) continue;
      // A task stays on its node, in its service and with an address of its node.
      if ((known ?? map.tasks.get(news.id) ?? { nodeId }).nodeId !== nodeId) continue;
      if (!isPossible(news, map) || ("address" in news && !isWithin(subnet, news.address)))
        continue;
      // The latest stands last.
      this.news.delete(news.id);
      if (this.news.size >= NEWS_MAX) this.#makeRoom(map);
      this.news.set(news.id, { nodeId, version, news });
      isNew = true;
    }
    if (isNew) this.#ageLater();
    return isNew;
  }

  /** A session begins: what was heard without one counts for a while yet, and then the map. */
  ageSoon(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#old = new Map();
    this.#ageLater();
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** Of tasks that are over, and that the map never had, nobody needs to know for long. */
  #makeRoom(map: MovingMap): void {
    let oldest: TaskId | undefined;
    for (const [id, { news }] of this.news) {
      oldest ??= id;
      if ("address" in news || map.tasks.has(id)) continue;
      oldest = id;
      break;
    }
    if (oldest !== undefined) this.news.delete(oldest);
  }

  #ageLater(): void {
    if (this.#timer !== undefined || this.news.size === 0) return;
    this.#timer = this.#options.clock.after(AGE_MS, () => this.#age());
  }

  /** Forgets what has lain here for a whole age; without a server nothing. */
  #age(): void {
    this.#timer = undefined;
    if (!this.#options.isLed()) return;
    const before = this.news.size;
    for (const [id, heard] of this.#old) if (this.news.get(id) === heard) this.news.delete(id);
    this.#old = new Map(this.news);
    this.#ageLater();
    if (this.news.size < before) this.#options.onForget();
  }
}

function isNewer(version: number, known: number): boolean {
  return version > known || version === NOTICE_VERSION_MAX;
}

function isPossible(news: TaskNews, map: MovingMap): boolean {
  const told = map.tasks.get(news.id);
  return told === undefined || !("address" in news) || told.serviceId === news.serviceId;
}
