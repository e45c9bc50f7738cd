import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { contentsNeeded } from "../../core/task/contents.ts";
import type { AssignmentSet } from "../../model/assignment.ts";
import type { NodeId } from "../../model/ids.ts";
import { contentIdOf, type ContentRef } from "../../model/item.ts";
import type { AgentSession } from "../../model/session.ts";
import type { Store } from "../../store/store.ts";
import { Controller, type Outcome } from "../controller.ts";
import type { Vault } from "./vault.ts";

export interface CourierOptions {
  store: Store;
  clock: Clock;
  log: Log;
  vault: Vault;
  /** The agent of a node, while it is connected. */
  session(nodeId: NodeId): AgentSession | undefined;
}

/** What is known of one session: what its node needs, and which of it has arrived. */
interface Delivery {
  needed: ReadonlyMap<string, ContentRef>;
  arrived: Set<string>;
}

/**
 * Brings each node the contents that its tasks need, and nothing else. An agent keeps what it has
 * on its own disk, so it is asked first what it lacks.
 */
export class Courier {
  readonly #options: CourierOptions;
  readonly #deliveries = new WeakMap<AgentSession, Delivery>();
  /** Nodes that wait until the vault is unlocked. */
  readonly #waiting = new Set<NodeId>();
  readonly #nodes: Controller<NodeId>;

  constructor(options: CourierOptions) {
    const { clock, log, vault } = options;
    this.#options = options;
    this.#nodes = new Controller({
      name: "secrets of node",
      clock,
      log,
      work: (nodeId) => this.#bring(nodeId),
    });
    vault.onUnlock(() => {
      for (const nodeId of this.#waiting) this.#nodes.touch(nodeId);
      this.#waiting.clear();
    });
  }

  /** The session is handed this set now; everything in it that is needed is durable. */
  onAssigned(session: AgentSession, { assignments }: AssignmentSet): void {
    const needed = contentsNeeded(assignments);
    const before = this.#deliveries.get(session)?.arrived ?? new Set();
    // What an agent needs no more it forgets, and has to be sent again.
    const arrived = new Set([...before].filter((id) => needed.has(id)));
    this.#deliveries.set(session, { needed, arrived });
    if (arrived.size < needed.size) this.#nodes.touch(session.nodeId);
  }

  close(): void {
    this.#nodes.close();
  }

  async #bring(nodeId: NodeId): Promise<Outcome> {
    const { vault } = this.#options;
    const session = this.#options.session(nodeId);
    const delivery = session && this.#deliveries.get(session);
    if (session === undefined || delivery === undefined) return {};
    const { needed, arrived } = delivery;
    const open = [...needed].filter(([id]) => !arrived.has(id));
    if (open.length === 0) return {};
    if (!vault.isUnlocked) {
      this.#waiting.add(nodeId);
      return {};
    }
    const lacked = await session.lackedContents(open.map(([, ref]) => ref));
    const isLacked = new Set(lacked.map(contentIdOf));
    const failures: unknown[] = [];
    for (const [id, ref] of open) {
      try {
        if (isLacked.has(id)) await this.#send(session, ref);
        arrived.add(id);
      } catch (error) {
        // One that is damaged, or for which the node has no room, holds back no other.
        failures.push(error);
      }
    }
    // The first one is told; all of them are tried again.
    if (failures.length > 0) throw failures[0];
    return {};
  }

  async #send(session: AgentSession, ref: ContentRef): Promise<void> {
    const { store, vault } = this.#options;
    await session.takeContent(ref, vault.contentOf(store.view(), ref));
  }
}
