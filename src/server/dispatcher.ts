import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import { equalJson } from "../lib/order.ts";
import { takeUpSuccessors } from "../core/reconcile/successors.ts";
import { takeUpLost } from "../core/reconcile/take-up-lost.ts";
import { put, type Change } from "../model/change.ts";
import type { AssignmentSet } from "../model/assignment.ts";
import { isLostRevision } from "../model/cluster.ts";
import type { Happening } from "../model/event.ts";
import type { NodeId, ServiceId } from "../model/ids.ts";
import { withPin } from "../model/image-pin.ts";
import type { Node, NodeFacts } from "../model/node.ts";
import type { AgentSession, ServerSession } from "../model/session.ts";
import { inServerTime, withReadiness, withStatus, type TaskStatus } from "../model/task.ts";
import type { Service } from "../model/service.ts";
import type { View } from "../model/view.ts";
import type { Commit, Store } from "../store/store.ts";
import { assignmentSetOf, nodesTouchedBy, nodesWithOtherTerms } from "./assignments.ts";
import { commitFresh } from "./commit-fresh.ts";
import { Turns } from "./turns.ts";

const RETRY_MS = 1000;
/** After so long the other nodes wait for the next turn; what is committed until then is theirs. */
const TURN_MS = 20;
/** For so long reports are taken in one turn: what they write has to be on disk before the next. */
const REPORTS_MS = 100;

/** Whoever wants to hear of sessions, as NodeHealth does. */
export interface SessionWatcher {
  noteSession(nodeId: NodeId, state: "connected" | "lost"): void;
  noteHeard(nodeId: NodeId): void;
}

/** Connects agents with the store: assignment sets go down, facts and statuses come up. */
export class Dispatcher implements ServerSession {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #sessions = new Map<NodeId, AgentSession>();
  readonly #stale = new Set<NodeId>();
  /** Nodes whose tasks are being learnt, as after a backup was put back. */
  readonly #takingUp = new Map<NodeId, Promise<void>>();
  #isTelling = false;
  /** Thousands of agents may report in one turn. */
  readonly #reports: Turns;
  readonly #unwatch: () => void;
  readonly #health: SessionWatcher | undefined;
  readonly #onSession: (session: AgentSession) => void;
  readonly #onHappening: (happening: Happening) => void;
  /** Hears of each set that an agent is handed, when all that it holds is durable. */
  onAssigned: (session: AgentSession, set: AssignmentSet) => void = () => {};
  #ownNodeId: NodeId | undefined;

  /**
   * @param onSession called when an agent's session has begun
   * @param onHappening called with what agents tell beside their tasks
   */
  constructor(
    store: Store,
    clock: Clock,
    health?: SessionWatcher,
    onSession: (session: AgentSession) => void = () => {},
    onHappening: (happening: Happening) => void = () => {},
  ) {
    this.#onSession = onSession;
    this.#onHappening = onHappening;
    this.#reports = new Turns(clock, REPORTS_MS);
    this.#store = store;
    this.#clock = clock;
    this.#health = health;
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
  }

  /** Which node this machine is: the only one that joins by saying hello. */
  setOwnNode(nodeId: NodeId): void {
    this.#ownNodeId = nodeId;
  }

  session(nodeId: NodeId): AgentSession | undefined {
    return this.#sessions.get(nodeId);
  }

  /**
   * Hands a node that was removed its empty set, and forgets its session. Resolves when the set is
   * on its way: the connection is the caller's to end.
   */
  async dismiss(nodeId: NodeId): Promise<void> {
    const session = this.#sessions.get(nodeId);
    if (session === undefined) return;
    await this.#assign(session);
    if (this.#sessions.get(nodeId) === session) this.#sessions.delete(nodeId);
  }

  sessions(): AgentSession[] {
    return [...this.#sessions.values()];
  }

  async hello(session: AgentSession, facts: NodeFacts): Promise<void> {
    const { nodeId } = session;
    await this.#takeUpLost(session);
    await commitFresh(this.#store, (view) => {
      const before = view.nodes.get(nodeId);
      if (before === undefined && nodeId !== this.#ownNodeId) {
        throw new OrchdError("notFound", `node ${nodeId} is not in the cluster: it has to join`);
      }
      const node = this.#nodeWith(before, nodeId, facts);
      const news = equalJson(before, node) ? [] : [put.node(node)];
      const tasks = takeUpSuccessors(view, nodeId, session.successors(), this.#clock.now());
      return [...news, ...tasks.map(put.task)];
    });
    this.#sessions.set(nodeId, session);
    this.#health?.noteSession(nodeId, "connected");
    await this.#assign(session);
    this.#onSession(session);
  }

  /**
   * Learns what a node was told by a server whose later state is lost, since the cluster was put
   * back from a backup: before anything else is decided for it.
   */
  async #takeUpLost(session: AgentSession): Promise<void> {
    const { cluster } = this.#store.view();
    const generation = session.generation();
    if (cluster === undefined || generation === undefined) return;
    if (!isLostRevision(cluster, generation)) return;
    const { nodeId } = session;
    const heardSinceRestore = cluster.restored?.to ?? 0;
    const before = this.#store.view().nodes.get(nodeId);
    // What it was told since counts from later: an agent that says this again is not honest.
    if (before?.heardSinceRestore === heardSinceRestore) return;
    const taken = session.held().then((held) =>
      commitFresh(this.#store, (view) => {
        const node = view.nodes.get(nodeId);
        const heard = node === undefined ? [] : [put.node({ ...node, heardSinceRestore })];
        return [...takeUpLost(view, nodeId, held, this.#clock.now()), ...heard];
      }),
    );
    this.#takingUp.set(nodeId, taken);
    await taken.finally(() => this.#takingUp.delete(nodeId));
  }

  async report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void> {
    this.#health?.noteHeard(nodeId);
    // What it reports is of tasks that are only just being learnt.
    await this.#takingUp.get(nodeId);
    await this.#reports.run(() => this.#writeReport(nodeId, statuses));
  }

  #writeReport(nodeId: NodeId, statuses: readonly TaskStatus[]): Promise<void> {
    return commitFresh(this.#store, (view) => [
      ...pinsIn(view, nodeId, statuses),
      ...statuses.flatMap((status) => {
        const task = view.tasks.get(status.taskId);
        // An agent speaks for the tasks of its own node alone.
        if (task === undefined || task.nodeId !== nodeId) return [];
        const now = this.#clock.now();
        const next = withStatus(task, inServerTime(task, status, now));
        return next === task ? [] : [put.task(withReadiness(next, now))];
      }),
    ]);
  }

  happened(nodeId: NodeId, happenings: readonly Happening[]): boolean {
    const { hostname = nodeId } = this.#store.view().nodes.get(nodeId) ?? {};
    for (const { message, ...one } of happenings) {
      this.#onHappening({ ...one, message: `on node ${hostname}: ${message}`.slice(0, 1000) });
    }
    return true;
  }

  /** Only the agent of this very process asks, and for it the server is always there. */
  leads(): boolean {
    return true;
  }

  goodbye(nodeId: NodeId): void {
    this.#sessions.delete(nodeId);
    this.#health?.noteSession(nodeId, "lost");
  }

  close(): void {
    this.#unwatch();
    this.#sessions.clear();
  }

  #nodeWith(before: Node | undefined, id: NodeId, facts: NodeFacts): Node {
    const now = this.#clock.now();
    const since = before?.health === "ready" ? before.since : now;
    const made = {
      // A node that joined has its roles from then: only the server's own is made here.
      roles: { server: true, agent: true },
      labels: {},
      availability: "active",
      createdAt: now,
      version: 0,
    } as const;
    // Joining gave it its name, which no other node has: what the agent says can't change it.
    const isOwn = id === this.#ownNodeId || before === undefined;
    const hostname = isOwn ? facts.hostname : before.hostname;
    return { ...made, ...before, id, ...facts, hostname, health: "ready", since };
  }

  /** Marks whom to tell, and tells each once for everything that was committed in this turn. */
  #onCommit({ applied }: Commit): void {
    for (const one of applied) {
      for (const nodeId of nodesTouchedBy(one)) this.#markStale(nodeId);
      const others = nodesWithOtherTerms(this.#store.view(), one);
      for (const nodeId of others) this.#markStale(nodeId);
    }
  }

  #markStale(nodeId: NodeId): void {
    this.#stale.add(nodeId);
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => this.#assignStale());
  }

  #assignStale(): void {
    const start = this.#clock.monotonicNow();
    for (const nodeId of this.#stale) {
      if (this.#clock.monotonicNow() - start >= TURN_MS) {
        this.#clock.after(0, () => this.#assignStale());
        return;
      }
      this.#stale.delete(nodeId);
      const session = this.#sessions.get(nodeId);
      if (session === undefined) continue;
      // The disk refused what the set was made of: a set without it follows.
      this.#assign(session).catch(() => {
        this.#clock.after(RETRY_MS, () => this.#markStale(nodeId));
      });
    }
    this.#isTelling = false;
  }

  /** Hands over what the view holds, as soon as all of that would survive a power cut. */
  async #assign(session: AgentSession): Promise<void> {
    const set = assignmentSetOf(this.#store.view(), session.nodeId);
    await this.#store.commit([]);
    session.assign(set);
    this.onAssigned(session, set);
  }
}

/** The services whose image was made ready for the first time on a platform. */
function pinsIn(view: View, nodeId: NodeId, statuses: readonly TaskStatus[]): Change[] {
  const node = view.nodes.get(nodeId);
  const pinned = new Map<ServiceId, Service>();
  for (const { taskId, image } of statuses) {
    const task = view.tasks.get(taskId);
    if (image === undefined || node === undefined || task?.nodeId !== nodeId) continue;
    const service = pinned.get(task.serviceId) ?? view.services.get(task.serviceId);
    if (service === undefined) continue;
    const next = withPin(service, task.revision, node, image);
    if (next !== service) pinned.set(service.id, next);
  }
  return [...pinned.values()].map(put.service);
}
