import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { equalJson } from "../lib/order.ts";
import { Trouble } from "../lib/trouble.ts";
import { mergeMap, type OwnTask } from "../core/network/merge-map.ts";
import { formatNotice, newsBetween, NOTICE_TASKS_MAX } from "../core/network/task-notice.ts";
import { NOTICE_VERSION_MAX, parseNotice, type TaskNews } from "../core/network/task-notice.ts";
import { CLUSTER_RANGE_DEFAULT } from "../model/cluster.ts";
import { type NodeId, nodeIdSchema, type TaskId } from "../model/ids.ts";
import {
  isEmptyChange,
  MovingMap,
  type NetworkChange,
  type NetworkSource,
} from "../model/network-change.ts";
import type { NodeLink } from "../model/link.ts";
import type { MapNode, NetworkMap } from "../model/network-map.ts";
import type { MemberChange } from "../net/gossip/gossip-member.ts";
import { Denials } from "./denials.ts";
import { Departed } from "./departed.ts";
import { PeerNews } from "./peer-news.ts";
import type { AgentState } from "../store/agent-state/agent-state.ts";

/** Which tasks are ready changes often: it is written down this seldom. */
const SAVE_EVERY_MS = 30_000;
/** That a node or a service is another one is written down soon, with what comes along. */
const SAVE_SOON_MS = 2000;

export interface NetworkTableOptions {
  /** This node, for as long as no map tells of it. */
  self: MapNode;
  clock: Clock;
  log: Log;
  memory: Pick<AgentState, "networkMap" | "saveNetworkMap">;
  /** The tasks of this node as they are now; undefined before that is known. */
  ownTasks(): OwnTask[] | undefined;
  /** Whether a session with a server is under way. */
  isLed(): boolean;
}

/** How nodes tell each other of their tasks, beside the server's map. */
export interface Announcer {
  /** To all, or to the member of that name alone. */
  notify(notice: string, only?: string): void;
}

/** A notice longer than this is nobody's. */
const NOTICE_MAX = 2048;

/**
 * What this node knows of the cluster's network: the last map that a server told, from the disk
 * after a start without one, with what the node knows better: its own tasks, what other nodes say
 * of theirs by gossip, and members that are gone.
 */
export class NetworkTable {
  readonly #options: NetworkTableOptions;
  readonly #map: MovingMap;
  /** The generation that the server of this process told; undefined until it has. */
  #told: number | undefined;
  #own: OwnTask[] | undefined;
  readonly #gone: Departed;
  readonly #heard: PeerNews;
  readonly #denials: Denials;
  #announcer: Announcer | undefined;
  #version = 0;
  #merged: NetworkMap | undefined;
  readonly #listeners = new Set<() => void>();
  #isTelling = false;
  readonly #trouble: Trouble;
  #save: { timer: Timer; isSoon: boolean } | undefined;
  #isClosed = false;

  constructor(options: NetworkTableOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options.log, "the network's map is on disk again");
    const saved = options.memory.networkMap();
    this.#map =
      saved === undefined
        ? new MovingMap({ mode: "vxlan", range: CLUSTER_RANGE_DEFAULT })
        : MovingMap.of(saved);
    const { clock } = options;
    const isLed = () => options.isLed();
    this.#heard = new PeerNews({ clock, isLed, onForget: () => this.#changed() });
    this.#gone = new Departed({ clock, isLed, onChange: () => this.#changed() });
    this.#denials = new Denials({ clock, deny: (ids, above) => this.#deny(ids, above) });
  }

  get nodeId(): NodeId {
    return this.#options.self.id;
  }

  /** What images may use the node's link for, as far as a server has told. */
  get link(): NodeLink | undefined {
    return this.#map.nodes.get(this.nodeId)?.link;
  }

  /** The map as it is true here and now. It is never changed in place. */
  current(): NetworkMap {
    const { self } = this.#options;
    const { nodes: gone } = this.#gone;
    const { news: heard } = this.#heard;
    this.#merged ??= mergeMap(this.#map, { self, own: this.#own, gone, heard });
    return this.#merged;
  }

  /** Calls when `current` is another map, once for each turn. Answers how to stop. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The server has another map. */
  take(source: NetworkSource): void {
    const change = source.since(this.#told);
    this.#told = change.generation;
    if (change.base === undefined) {
      this.#heard.ageSoon();
      this.#gone.onLed();
    }
    if (isEmptyChange(change)) return;
    this.#map.take(change);
    this.#changed();
    this.#saveLater(isStructural(change));
  }

  /** The tasks of this node may be other ones: what is known here is believed at once. */
  refreshOwn(): void {
    const own = this.#options.ownTasks();
    if (equalJson(own, this.#own)) return;
    this.#announce(newsBetween(this.#own ?? [], own ?? []));
    this.#own = own;
    this.#changed();
  }

  /** Whether this task of the node is ready, and others are there that know so. */
  isLedTo(taskId: TaskId): boolean {
    const isReady = this.#own?.some((task) => task.id === taskId && task.isReady) ?? false;
    return isReady && this.#map.nodes.keys().some((id) => id !== this.nodeId);
  }

  /** Gossip has begun: others hear of this node's tasks from now on. */
  announceBy(announcer: Announcer): void {
    this.#announcer = announcer;
    if (!this.#options.isLed()) this.#announce(newsBetween([], this.#own ?? []));
  }

  /** What a node told all of its own tasks. */
  hear(text: string): void {
    const notice = text.length > NOTICE_MAX ? undefined : parseNotice(text);
    if (notice === undefined) return;
    if (notice.nodeId === this.nodeId) {
      // Its own words don't come back to it: somebody else, or a former life of it, said that.
      if (notice.version >= this.#version) this.#denials.note(notice);
    } else if (this.#heard.take(notice, this.#map)) this.#changed();
  }

  /** A member that is dead or has left takes no traffic, until it is seen alive again. */
  noteMember({ node, before, after }: MemberChange): void {
    const nodeId = nodeIdSchema.safeParse(node).data;
    if (nodeId === undefined || nodeId === this.nodeId || after === undefined) return;
    // Who was away may have missed what was told meanwhile, and nobody else can tell it.
    const isBack = after.state === "alive" && before?.state !== "alive";
    if (isBack && before?.state !== "suspect" && !this.#options.isLed()) {
      this.#announce(newsBetween([], this.#own ?? []), node);
    }
    const isGone = after.state === "dead" || after.state === "left";
    if (this.#gone.note(nodeId, isGone)) this.#changed();
  }

  /** There is no server any more. */
  lost(): void {
    this.#gone.onLost();
  }

  /** Writes down what waits. */
  close(): void {
    this.#isClosed = true;
    if (this.#save !== undefined) this.#saveNow();
    this.#heard.close();
    this.#denials.close();
    this.#gone.close();
    this.#listeners.clear();
  }

  /** Tells what is true of these tasks, with a higher version than the one that was heard. */
  #deny(ids: ReadonlySet<TaskId>, above: number): void {
    this.#version = Math.max(this.#version, above);
    // Before the node has looked it knows no better; what it finds then is told to all anyway.
    if (this.#own === undefined) return;
    const own = new Map(newsBetween([], this.#own).map((news) => [news.id, news]));
    this.#announce([...ids].map((id) => own.get(id) ?? { id }));
  }

  #announce(news: readonly TaskNews[], only?: string): void {
    if (this.#announcer === undefined) return;
    const { clock } = this.#options;
    for (let from = 0; from < news.length; from += NOTICE_TASKS_MAX) {
      // Later lives of this node go on from the clock, which is never set back by much.
      const next = Math.max(Math.floor(clock.now()), this.#version + 1);
      this.#version = Math.min(next, NOTICE_VERSION_MAX);
      const tasks = news.slice(from, from + NOTICE_TASKS_MAX);
      const notice = formatNotice({ nodeId: this.nodeId, version: this.#version, tasks });
      this.#announcer.notify(notice, only);
    }
  }

  #changed(): void {
    this.#merged = undefined;
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      for (const listener of this.#listeners) listener();
    });
  }

  #saveLater(isSoon: boolean): void {
    if (this.#isClosed) return;
    if (this.#save !== undefined && (this.#save.isSoon || !isSoon)) return;
    this.#save?.timer.cancel();
    const { clock } = this.#options;
    const timer = clock.after(isSoon ? SAVE_SOON_MS : SAVE_EVERY_MS, () => this.#saveNow());
    this.#save = { timer, isSoon };
  }

  #saveNow(): void {
    const { memory } = this.#options;
    this.#save?.timer.cancel();
    this.#save = undefined;
    try {
      memory.saveNetworkMap(this.#map.toMap());
      this.#trouble.over();
    } catch (error) {
      // A full disk passes; a start without a server would know an older map until then.
      this.#trouble.note(`the network's map is not on disk: ${messageChainOf(error)}`);
      this.#saveLater(false);
    }
  }
}

function isStructural({ base, nodes, services, removed }: NetworkChange): boolean {
  if (base === undefined) return true;
  return nodes.length + services.length + removed.nodes.length + removed.services.length > 0;
}
