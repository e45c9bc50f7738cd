import type { Clock } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";
import { volumesHeldOn, withoutVolumesToRemove } from "../core/reconcile/node.ts";
import { put } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import type { Node } from "../model/node.ts";
import type { AgentSession } from "../model/session.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";
import { Controller, type Outcome } from "./controller.ts";

/** A node that does not answer within this holds back nobody: it is asked again later. */
const ANSWER_WITHIN_MS = 10_000;
const AGAIN_MS = 10_000;
/** A node that is back is ready a moment before its session can be used. */
const SESSION_SOON_MS = 1000;

export interface LeftVolumesOptions {
  store: Store;
  clock: Clock;
  log: Log;
  /** Agents that are connected now. */
  sessions(): AgentSession[];
}

/**
 * Removes the volumes that stacks leave behind: at once on nodes that answer, and on the others,
 * where the store remembers it, as soon as they do.
 */
export class LeftVolumes {
  readonly #options: LeftVolumesOptions;
  readonly #nodes: Controller<NodeId>;
  readonly #troubles = new Map<NodeId, Trouble>();

  constructor(options: LeftVolumesOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#nodes = new Controller({
      name: "volumes of node",
      clock,
      log,
      work: (nodeId) => this.#look(nodeId),
    });
  }

  /** The node has changed: it may be back, or owe something. */
  note({ id, volumesToRemove }: Node): void {
    if (volumesToRemove !== undefined) this.#nodes.touch(id);
  }

  close(): void {
    this.#nodes.close();
  }

  /**
   * Asks all nodes that are connected; answers on which of them the volumes are gone. One that a
   * task of another stack holds stays.
   */
  async remove(names: readonly string[]): Promise<Set<NodeId>> {
    const sessions = this.#options.sessions();
    const done = await Promise.all(sessions.map((session) => this.#removeOn(session, names)));
    return new Set(sessions.filter((_, i) => done[i]).map(({ nodeId }) => nodeId));
  }

  async #look(nodeId: NodeId): Promise<Outcome> {
    const { store, clock } = this.#options;
    const node = store.view().nodes.get(nodeId);
    const names = node?.volumesToRemove ?? [];
    // Its return is a change of the node.
    if (names.length === 0 || node?.health !== "ready") return {};
    const session = this.#options.sessions().find((one) => one.nodeId === nodeId);
    if (session === undefined) return { wakeAt: clock.now() + SESSION_SOON_MS };
    if (!(await this.#removeOn(session, names))) return { wakeAt: clock.now() + AGAIN_MS };
    await commitFresh(store, (view) => {
      const fresh = view.nodes.get(nodeId);
      return fresh === undefined ? [] : [put.node(withoutVolumesToRemove(fresh, names))];
    });
    return {};
  }

  async #removeOn(session: AgentSession, all: readonly string[]): Promise<boolean> {
    const { store, clock, log } = this.#options;
    const held = volumesHeldOn(store.view(), session.nodeId);
    const names = all.filter((name) => !held.has(name));
    if (names.length === 0) return true;
    const late = Promise.withResolvers<boolean>();
    const timer = clock.after(ANSWER_WITHIN_MS, () => late.resolve(false));
    const { nodeId } = session;
    const removed = session.removeVolumes(names).then(
      () => {
        this.#troubles.get(nodeId)?.over();
        this.#troubles.delete(nodeId);
        return true;
      },
      (error: unknown) => {
        const trouble =
          this.#troubles.get(nodeId) ?? new Trouble(log, `node ${nodeId} keeps none any more`);
        trouble.note(`node ${nodeId} keeps volumes for now: ${messageChainOf(error)}`);
        this.#troubles.set(nodeId, trouble);
        return false;
      },
    );
    return Promise.race([removed, late.promise]).finally(() => timer.cancel());
  }
}
