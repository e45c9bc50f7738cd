import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";
import {
  nodeHealthOf,
  PROBE_MS,
  unlessCutOff,
  unlessUpgrading,
  type HealthInput,
  type HealthVerdict,
  type MemberNews,
  type MemberState,
  type SessionNews,
} from "../core/reconcile/node-health.ts";
import { put } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import { isTrying } from "../model/upgrade.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";

/** For how long after a start, or a pause of its own, a server takes no node for gone. */
export const GRACE_MS = 10_000;
const TICK_MS = 1000;
/** A timer that is so late tells that this process did not run, as after SIGSTOP or a sleep. */
const PAUSED_MS = 3000;
const RETRY_MS = 1000;
/** A session that is gone for so long is not just beginning again. */
const OUT_OF_TOUCH_MS = 15_000;

export interface NodeHealthOptions {
  store: Store;
  clock: Clock;
  log: Log;
  /** Whether the node's session answers within `timeoutMs`; false where there is none. */
  probe(nodeId: NodeId, timeoutMs: number): Promise<boolean>;
  /**
   * Ends the session of a node that is down. What still lies in such a connection when the link is
   * back tells less than a new hello, which comes with all that the agent did alone.
   */
  endSession(nodeId: NodeId): void;
}

/**
 * What was heard of one node, at which monotonic time: what is said of nodes must not hang on
 * somebody who sets the clock. In memory alone: a server that starts hears anew.
 */
interface News {
  member: MemberNews | undefined;
  session: SessionNews;
  isProbing: boolean;
  isWriting: boolean;
  wake: Timer | undefined;
  trouble: Trouble;
}

/**
 * Decides whether nodes are there, from what gossip and their sessions say, and writes it to the
 * store when it changes: nothing else of it is ever written.
 */
export class NodeHealth {
  readonly #options: NodeHealthOptions;
  readonly #news = new Map<NodeId, News>();
  readonly #unwatch: () => void;
  #graceUntil = 0;
  /** Since when none of several nodes is heard. */
  #silentSince: number | undefined;
  #tick: Timer | undefined;
  #tickedAt = 0;
  #closed = false;

  constructor(options: NodeHealthOptions) {
    this.#options = options;
    this.#unwatch = options.store.watch(({ applied }) => {
      for (const one of applied) {
        if (one.kind === "upgrade") this.#assessAll();
        if (one.kind !== "node") continue;
        if (one.after === undefined && one.before !== undefined) this.#forget(one.before.id);
        if (one.before === undefined && one.after !== undefined) this.#assess(one.after.id);
      }
    });
  }

  /** Begins to watch: nodes get some time to be heard of before they are taken for gone. */
  start(): void {
    const now = this.#options.clock.monotonicNow();
    this.#graceUntil = now + GRACE_MS;
    this.#tickedAt = now;
    this.#assessAll();
    this.#scheduleTick();
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
    this.#tick?.cancel();
    for (const news of this.#news.values()) news.wake?.cancel();
  }

  /** Gossip has come to say this of a node. */
  noteMember(nodeId: NodeId, state: MemberState): void {
    this.#notePause();
    if (!this.#isNode(nodeId)) return;
    const at = this.#options.clock.monotonicNow();
    const news = this.#newsOf(nodeId);
    const before = news.member;
    if (before?.state === state) return;
    const wasDoubted = before !== undefined && before.state !== "alive";
    const doubtedSince = wasDoubted && state !== "alive" ? before.doubtedSince : at;
    news.member = { state, since: at, doubtedSince };
    this.#assess(nodeId);
    if (state !== "alive") void this.#probe(nodeId);
  }

  /** Gossip knows nothing of the node any more. */
  forgetMember(nodeId: NodeId): void {
    if (!this.#isNode(nodeId)) return;
    this.#newsOf(nodeId).member = undefined;
    this.#assess(nodeId);
  }

  noteSession(nodeId: NodeId, state: "connected" | "lost"): void {
    this.#notePause();
    if (!this.#isNode(nodeId)) return;
    const news = this.#newsOf(nodeId);
    const now = this.#options.clock.monotonicNow();
    if (state === "connected") news.session = { state, since: now, heardAt: now };
    else if (news.session.state === "connected") {
      news.session = { state, since: now, heardAt: news.session.heardAt };
    }
    this.#assess(nodeId);
  }

  /** The node gave a sign of life over its session. */
  noteHeard(nodeId: NodeId): void {
    if (!this.#isNode(nodeId)) return;
    const news = this.#newsOf(nodeId);
    if (news.session.state !== "connected") return;
    news.session = { ...news.session, heardAt: this.#options.clock.monotonicNow() };
    if (news.member !== undefined && news.member.state !== "alive") this.#assess(nodeId);
  }

  /** Of how many nodes something is kept. */
  get known(): number {
    return this.#news.size;
  }

  /** What is thought of the node now, and why. */
  verdict(nodeId: NodeId): HealthVerdict {
    const input = this.#inputOf(nodeId);
    const verdict = unlessCutOff(nodeHealthOf(input), this.#silentSince, input);
    const { upgrade } = this.#options.store.view();
    return unlessUpgrading(verdict, upgrade !== undefined && isTrying(upgrade, nodeId));
  }

  /** Whether the node was without a session for so long that new tasks are better elsewhere. */
  isOutOfTouch(nodeId: NodeId): boolean {
    const { session } = this.#newsOf(nodeId);
    const now = this.#options.clock.monotonicNow();
    return session.state !== "connected" && now - session.since >= OUT_OF_TOUCH_MS;
  }

  #inputOf(nodeId: NodeId): HealthInput {
    const { store, clock } = this.#options;
    const { member, session } = this.#newsOf(nodeId);
    const health = store.view().nodes.get(nodeId)?.health ?? "ready";
    return { member, session, graceUntil: this.#graceUntil, health, now: clock.monotonicNow() };
  }

  /** Finds out whether all nodes fell silent; once one is heard again, the others are gone. */
  #listen(): void {
    const wasSilent = this.#silentSince !== undefined;
    if (this.#hearsNobody()) this.#silentSince ??= this.#options.clock.monotonicNow();
    else this.#silentSince = undefined;
    if (wasSilent && this.#silentSince === undefined) this.#assessAll();
  }

  /** Of two nodes or more, its own machine aside, that are not known to be down. */
  #hearsNobody(): boolean {
    let others = 0;
    for (const { id, roles, health } of this.#options.store.view().nodes.values()) {
      if (roles.server || health === "down") continue;
      if (nodeHealthOf(this.#inputOf(id)).health === "ready") return false;
      others += 1;
    }
    return others >= 2;
  }

  /** Nothing is kept of others: a node that was removed still loses its session after that. */
  #isNode(nodeId: NodeId): boolean {
    return this.#options.store.view().nodes.has(nodeId);
  }

  #newsOf(nodeId: NodeId): News {
    const known = this.#news.get(nodeId);
    if (known !== undefined) return known;
    const news: News = {
      member: undefined,
      session: { state: "never", since: this.#options.clock.monotonicNow() },
      isProbing: false,
      isWriting: false,
      wake: undefined,
      trouble: new Trouble(this.#options.log, `the health of node ${nodeId} is written again`),
    };
    this.#news.set(nodeId, news);
    return news;
  }

  #forget(nodeId: NodeId): void {
    this.#news.get(nodeId)?.wake?.cancel();
    this.#news.delete(nodeId);
  }

  #scheduleTick(): void {
    this.#tick = this.#options.clock.after(TICK_MS, () => {
      this.#notePause();
      this.#scheduleTick();
    });
  }

  /**
   * After a pause of this process, what it has not heard says nothing about the nodes. Asked at
   * every piece of news as well, since any overdue timer may be the first to run.
   */
  #notePause(): void {
    const now = this.#options.clock.monotonicNow();
    const lateMs = now - this.#tickedAt - TICK_MS;
    if (this.#tick !== undefined && lateMs > PAUSED_MS) {
      this.#options.log.warn(
        `this server did not run for ${Math.round(lateMs / 1000)} s: nodes get time to be heard of`,
      );
      this.#graceUntil = now + GRACE_MS;
      this.#tickedAt = now;
      this.#assessAll();
    }
    this.#tickedAt = now;
  }

  #assessAll(): void {
    for (const nodeId of this.#options.store.view().nodes.keys()) this.#assess(nodeId);
  }

  /** Writes the node's health if it is another now, and looks again when time alone changes it. */
  #assess(nodeId: NodeId): void {
    const { store, clock, log } = this.#options;
    this.#listen();
    const news = this.#newsOf(nodeId);
    news.wake?.cancel();
    const node = store.view().nodes.get(nodeId);
    if (this.#closed || node === undefined || news.isWriting) return;
    const { health, reason, wakeAt } = this.verdict(nodeId);
    if (wakeAt !== undefined) this.#wakeAfter(nodeId, news, wakeAt - clock.monotonicNow());
    if (health === node.health) return;
    news.isWriting = true;
    log.info(`node ${node.hostname} is ${health}: ${reason}`);
    this.#write(nodeId).then(
      () => {
        news.isWriting = false;
        news.trouble.over();
        const isDown = store.view().nodes.get(nodeId)?.health === "down";
        if (isDown && news.session.state === "connected") this.#options.endSession(nodeId);
        this.#assess(nodeId);
      },
      (error: unknown) => {
        news.isWriting = false;
        news.trouble.note(`node ${nodeId} is looked at again: ${messageChainOf(error)}`);
        this.#wakeAfter(nodeId, news, RETRY_MS);
      },
    );
  }

  #wakeAfter(nodeId: NodeId, news: News, delayMs: number): void {
    news.wake?.cancel();
    if (!this.#closed) news.wake = this.#options.clock.after(delayMs, () => this.#assess(nodeId));
  }

  async #write(nodeId: NodeId): Promise<void> {
    const { store, clock } = this.#options;
    await commitFresh(store, (view) => {
      const node = view.nodes.get(nodeId);
      const { health } = this.verdict(nodeId);
      if (node === undefined || node.health === health) return [];
      return [put.node({ ...node, health, since: clock.now() })];
    });
  }

  /** Asks the session of a node that gossip doubts: a dead one must not count as heard. */
  async #probe(nodeId: NodeId): Promise<void> {
    const news = this.#newsOf(nodeId);
    if (news.isProbing || news.session.state !== "connected") return;
    news.isProbing = true;
    try {
      if (await this.#options.probe(nodeId, PROBE_MS)) this.noteHeard(nodeId);
    } catch (error) {
      // A session that breaks while it is asked has not answered.
      this.#options.log.warn(`node ${nodeId} can't be asked: ${messageChainOf(error)}`);
    } finally {
      news.isProbing = false;
    }
  }
}
