import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { equalJson } from "../lib/order.ts";
import { mergeMap, type OwnTask } from "../core/network/merge-map.ts";
import { CLUSTER_RANGE_DEFAULT } from "../model/cluster.ts";
import { type NodeId, nodeIdSchema } from "../model/ids.ts";
import {
  isEmptyChange,
  MovingMap,
  type NetworkChange,
  type NetworkSource,
} from "../model/network-change.ts";
import type { MapNode, NetworkMap } from "../model/network-map.ts";
import type { MemberChange } from "../net/gossip/gossip-member.ts";
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
}

/**
 * What this node knows of the cluster's network: the last map that a server told, from the disk
 * after a start without one, with what the node knows better: its own tasks, and members that are
 * gone.
 */
export class NetworkTable {
  readonly #options: NetworkTableOptions;
  readonly #map: MovingMap;
  /** The generation that the server of this process told; undefined until it has. */
  #told: number | undefined;
  #own: OwnTask[] | undefined;
  readonly #gone = new Set<NodeId>();
  #merged: NetworkMap | undefined;
  readonly #listeners = new Set<() => void>();
  #isTelling = false;
  #save: { timer: Timer; isSoon: boolean } | undefined;
  #isClosed = false;

  constructor(options: NetworkTableOptions) {
    this.#options = options;
    const saved = options.memory.networkMap();
    this.#map =
      saved === undefined
        ? new MovingMap({ mode: "vxlan", range: CLUSTER_RANGE_DEFAULT })
        : MovingMap.of(saved);
  }

  get nodeId(): NodeId {
    return this.#options.self.id;
  }

  /** The map as it is true here and now. It is never changed in place. */
  current(): NetworkMap {
    const { self } = this.#options;
    this.#merged ??= mergeMap(this.#map, { self, own: this.#own, gone: this.#gone });
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
    if (isEmptyChange(change)) return;
    this.#map.take(change);
    this.#changed();
    this.#saveLater(isStructural(change));
  }

  /** The tasks of this node may be other ones: what is known here is believed at once. */
  refreshOwn(): void {
    const own = this.#options.ownTasks();
    if (equalJson(own, this.#own)) return;
    this.#own = own;
    this.#changed();
  }

  /** A member that is dead or has left takes no traffic, until it is seen alive again. */
  noteMember({ node, after }: MemberChange): void {
    const nodeId = nodeIdSchema.safeParse(node).data;
    if (nodeId === undefined || nodeId === this.nodeId || after === undefined) return;
    const isGone = after.state === "dead" || after.state === "left";
    if (isGone === this.#gone.has(nodeId)) return;
    if (isGone) this.#gone.add(nodeId);
    else this.#gone.delete(nodeId);
    this.#changed();
  }

  /** Writes down what waits. */
  close(): void {
    this.#isClosed = true;
    if (this.#save !== undefined) this.#saveNow();
    this.#listeners.clear();
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
    const { memory, log } = this.#options;
    this.#save?.timer.cancel();
    this.#save = undefined;
    try {
      memory.saveNetworkMap(this.#map.toMap());
    } catch (error) {
      // A full disk passes; a start without a server would know an older map until then.
      log.warn(`the network's map is not on disk: ${messageChainOf(error)}`);
      this.#saveLater(false);
    }
  }
}

function isStructural({ base, nodes, services, removed }: NetworkChange): boolean {
  if (base === undefined) return true;
  return nodes.length + services.length + removed.nodes.length + removed.services.length > 0;
}
