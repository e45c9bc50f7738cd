import type { Clock, Timer } from "../lib/clock.ts";
import { equalJson } from "../lib/order.ts";
import { put } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import type { Node, NodeFacts } from "../model/node.ts";
import type { AgentSession, ServerSession } from "../model/session.ts";
import { withStatus, type TaskStatus } from "../model/task.ts";
import type { Commit, Store } from "../store/store.ts";
import { assignmentSetOf, nodesTouchedBy } from "./assignments.ts";
import { commitFresh } from "./commit-fresh.ts";

const RETRY_MS = 1000;
/** An agent that is there begins its session well within this time after a start of the server. */
const HELLO_WITHIN_MS = 10_000;

/** Connects agents with the store: assignment sets go down, facts and statuses come up. */
export class Dispatcher implements ServerSession {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #sessions = new Map<NodeId, AgentSession>();
  readonly #stale = new Set<NodeId>();
  readonly #unwatch: () => void;
  #deadline: Timer | undefined;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
  }

  session(nodeId: NodeId): AgentSession | undefined {
    return this.#sessions.get(nodeId);
  }

  sessions(): AgentSession[] {
    return [...this.#sessions.values()];
  }

  async hello(session: AgentSession, facts: NodeFacts): Promise<void> {
    const { nodeId } = session;
    await commitFresh(this.#store, (view) => {
      const before = view.nodes.get(nodeId);
      const node = this.#nodeWith(before, nodeId, facts);
      return equalJson(before, node) ? [] : [put.node(node)];
    });
    this.#sessions.set(nodeId, session);
    await this.#assign(session);
  }

  async report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void> {
    await commitFresh(this.#store, (view) =>
      statuses.flatMap((status) => {
        const task = view.tasks.get(status.taskId);
        // An agent speaks for the tasks of its own node alone.
        if (task === undefined || task.nodeId !== nodeId) return [];
        const next = withStatus(task, status);
        return next === task ? [] : [put.task(next)];
      }),
    );
  }

  /** Gives agents some time to begin their sessions; nodes without one are down after it. */
  expectAgents(): void {
    this.#deadline = this.#clock.after(HELLO_WITHIN_MS, () => {
      // A full disk passes; until then they are asked for again.
      this.#markAbsent().catch(() => this.expectAgents());
    });
  }

  async #markAbsent(): Promise<void> {
    const since = this.#clock.now();
    await commitFresh(this.#store, (view) =>
      [...view.nodes.values()]
        .filter((node) => node.health !== "down" && !this.#sessions.has(node.id))
        .map((node) => put.node({ ...node, health: "down", since })),
    );
  }

  goodbye(nodeId: NodeId): void {
    this.#sessions.delete(nodeId);
  }

  close(): void {
    this.#deadline?.cancel();
    this.#unwatch();
    this.#sessions.clear();
  }

  #nodeWith(before: Node | undefined, id: NodeId, facts: NodeFacts): Node {
    const now = this.#clock.now();
    const { labels = {}, availability = "active", createdAt = now, version = 0 } = before ?? {};
    const since = before?.health === "ready" ? before.since : now;
    // Nodes come by joining; only the server's own machine is there without.
    const { roles = { server: true, agent: true } } = before ?? {};
    return {
      ...before,
      id,
      ...facts,
      roles,
      labels,
      availability,
      health: "ready",
      createdAt,
      since,
      version,
    };
  }

  /** Marks whom to tell, and tells each once for everything that was committed in this turn. */
  #onCommit({ applied }: Commit): void {
    for (const one of applied) {
      for (const nodeId of nodesTouchedBy(one)) this.#markStale(nodeId);
    }
  }

  #markStale(nodeId: NodeId): void {
    if (this.#stale.size === 0) queueMicrotask(() => this.#assignStale());
    this.#stale.add(nodeId);
  }

  #assignStale(): void {
    const nodeIds = [...this.#stale];
    this.#stale.clear();
    for (const nodeId of nodeIds) {
      const session = this.#sessions.get(nodeId);
      if (session === undefined) continue;
      // The disk refused what the set was made of: a set without it follows.
      this.#assign(session).catch(() => {
        this.#clock.after(RETRY_MS, () => this.#markStale(nodeId));
      });
    }
  }

  /** Hands over what the view holds, as soon as all of that would survive a power cut. */
  async #assign(session: AgentSession): Promise<void> {
    const set = assignmentSetOf(this.#store.view(), session.nodeId);
    await this.#store.commit([]);
    session.assign(set);
  }
}
