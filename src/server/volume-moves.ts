import type { Clock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import {
  moveChanges,
  servesAt,
  type Move,
  whyNoMove,
  withBrokenOff,
  withComing,
  withMovedToRemove,
} from "../core/reconcile/move-volumes.ts";
import { put } from "../model/change.ts";
import type { Happening } from "../model/event.ts";
import type { NodeId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import type { VolumeMount } from "../model/container.ts";
import type { MoveProgress, VolumeHold } from "../model/volume.ts";
import type { View } from "../model/view.ts";
import type { Commit, Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";

/** Between two words on how far a copy is. */
const TELL_EVERY_MS = 250;
/** For so long whoever asked waits for the tasks to serve where they are now. */
const SERVE_WITHIN_MS = 120_000;

export interface VolumeMovesOptions {
  store: Store;
  clock: Clock;
  log: Log;
  session(nodeId: NodeId): AgentSession | undefined;
  /** How a volume is to be made. */
  mountOf(view: View, name: string): VolumeMount | undefined;
  onHappening(happening: Happening): void;
}

type Tell = (progress: MoveProgress) => Promise<void>;

/**
 * Moves volumes from node to node. Their tasks stand still on the first node, held by a call that
 * lasts: when the server or the connection dies before the copy is known to be good they go on
 * there, and what came of the copy is removed. One commit makes the second node their home.
 */
export class VolumeMoves {
  readonly #options: VolumeMovesOptions;
  /** Volumes that are on their way now. */
  readonly #moving = new Set<string>();
  /** Nodes that have volumes which moved away. */
  readonly #leftBehind = new Set<NodeId>();
  #unwatch = () => {};

  constructor(options: VolumeMovesOptions) {
    this.#options = options;
  }

  /** Clears away what an earlier life of the server left half done. */
  async start(): Promise<void> {
    const { store } = this.#options;
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
    for (const node of store.view().nodes.values()) this.#note(node.id);
    await commitFresh(store, (view) =>
      [...view.nodes.values()].flatMap((node) =>
        node.volumesComing === undefined ? [] : [put.node(withBrokenOff(node, node.volumesComing))],
      ),
    );
    await this.#settle();
  }

  close(): void {
    this.#unwatch();
  }

  /**
   * @throws OrchdError `conflict` when they can't move, `unreachable` while a node is away; what
   * fails before the copies are known to be good leaves everything where it was
   */
  async move(move: Move, tell: Tell): Promise<void> {
    const { store } = this.#options;
    const problem = whyNoMove(store.view(), move) ?? this.#whyBusy(move.names);
    if (problem !== undefined) throw new OrchdError("conflict", problem);
    for (const name of move.names) this.#moving.add(name);
    try {
      await this.#copyAll(move, tell);
    } finally {
      for (const name of move.names) this.#moving.delete(name);
    }
    const { hostname = "" } = store.view().nodes.get(move.to) ?? {};
    for (const name of move.names) {
      this.#options.onHappening({
        kind: "volume",
        action: "moved",
        name,
        message: `to node ${hostname}`,
      });
    }
    await tell({ step: "starting" });
    if (await this.#serves(move)) await tell({ step: "done" });
  }

  async #copyAll(move: Move, tell: Tell): Promise<void> {
    const { names, from, to } = move;
    const { store, clock } = this.#options;
    const [source, target] = [this.#agentOf(from), this.#agentOf(to)];
    const there = await target.volumes.list({ names, sizes: false });
    const [taken] = there;
    if (taken !== undefined) {
      const message = `the other node has a volume ${taken.name} already: remove that one first`;
      throw new OrchdError("conflict", message);
    }
    await this.#changeNode(to, (node) => withComing(node, names));
    const holds: VolumeHold[] = [];
    try {
      for (const name of names) {
        await tell({ step: "stopping", volume: name });
        holds.push(await source.volumes.hold(name));
      }
      for (const name of names) await this.#copy(name, source, target, tell);
      await commitFresh(store, (view) => {
        const problem = whyNoMove(view, move);
        if (problem !== undefined) throw new OrchdError("conflict", problem);
        return moveChanges(view, move, clock.now());
      });
    } catch (error) {
      await this.#undo(move, holds);
      throw error;
    }
    const { version } = store.view();
    for (const hold of holds) await this.#tryTo("tell the node", hold.leave(version));
  }

  async #copy(name: string, source: AgentSession, target: AgentSession, tell: Tell): Promise<void> {
    const reading = await source.volumes.read(name, "held");
    try {
      await tell({ step: "copying", volume: name, bytes: 0 });
      const pieces = this.#counted(reading.pieces, (bytes) =>
        tell({ step: "copying", volume: name, bytes }),
      );
      const mount = this.#options.mountOf(this.#options.store.view(), name);
      // The node that writes checks every byte of it before it takes it for the volume.
      await target.volumes.write(name, pieces, { stop: false, mount });
    } finally {
      await reading.close();
    }
  }

  async *#counted(
    pieces: AsyncIterable<Uint8Array>,
    tell: (bytes: number) => Promise<void>,
  ): AsyncGenerator<Uint8Array> {
    const { clock } = this.#options;
    let bytes = 0;
    let toldAt = clock.now();
    for await (const piece of pieces) {
      yield piece;
      bytes += piece.length;
      if (clock.now() - toldAt < TELL_EVERY_MS) continue;
      toldAt = clock.now();
      await tell(bytes);
    }
  }

  /** Tasks go on where they were; what came of the copy goes. */
  async #undo({ names, to }: Move, holds: readonly VolumeHold[]): Promise<void> {
    for (const hold of holds) await this.#tryTo("let tasks go on", hold.release());
    const cleared = this.#changeNode(to, (node) => withBrokenOff(node, names));
    await this.#tryTo("clear away a copy", cleared);
  }

  /** What the next session, or the next start, makes good anyway. */
  async #tryTo(what: string, attempt: Promise<void>): Promise<void> {
    try {
      await attempt;
    } catch (error) {
      this.#options.log.warn(`moving a volume: could not ${what}: ${messageChainOf(error)}`);
    }
  }

  async #changeNode(
    nodeId: NodeId,
    change: (node: Parameters<typeof withComing>[0]) => Parameters<typeof withComing>[0],
  ): Promise<void> {
    await commitFresh(this.#options.store, (view) => {
      const node = view.nodes.get(nodeId);
      return node === undefined ? [] : [put.node(change(node))];
    });
  }

  #whyBusy(names: readonly string[]): string | undefined {
    const busy = names.find((name) => this.#moving.has(name));
    return busy === undefined ? undefined : `the volume ${busy} is being moved already`;
  }

  #agentOf(nodeId: NodeId): AgentSession {
    const session = this.#options.session(nodeId);
    if (session !== undefined) return session;
    const { hostname = nodeId } = this.#options.store.view().nodes.get(nodeId) ?? {};
    const message = `node ${hostname} is not connected: try again`;
    throw new OrchdError("unreachable", message, { retryable: true });
  }

  /** Resolves when the tasks serve, or with `false` when they don't in time. */
  #serves({ names, to }: Move): Promise<boolean> {
    const { store, clock } = this.#options;
    const isServed = () => servesAt(store.view(), names, to);
    if (isServed()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (isGood: boolean) => {
        stop();
        timer.cancel();
        resolve(isGood);
      };
      const stop = store.watch(() => {
        if (isServed()) end(true);
      });
      const timer = clock.after(SERVE_WITHIN_MS, () => end(false));
    });
  }

  #onCommit({ applied }: Commit): void {
    for (const { kind, after } of applied) {
      if (kind === "node" && after !== undefined) this.#note(after.id);
    }
    if (this.#leftBehind.size === 0) return;
    const isNews = applied.some(({ kind }) => kind === "task" || kind === "service");
    if (isNews) void this.#settle();
  }

  #note(nodeId: NodeId): void {
    const node = this.#options.store.view().nodes.get(nodeId);
    if (node?.volumesMoved === undefined) this.#leftBehind.delete(nodeId);
    else this.#leftBehind.add(nodeId);
  }

  /** Volumes that are used where they are now are removed where they were. */
  async #settle(): Promise<void> {
    const { store, log } = this.#options;
    const isDue = (view: View) =>
      [...this.#leftBehind].flatMap((nodeId) => {
        const node = view.nodes.get(nodeId);
        const next = node === undefined ? undefined : withMovedToRemove(view, node);
        return next === undefined || next === node ? [] : [put.node(next)];
      });
    if (isDue(store.view()).length === 0) return;
    try {
      await commitFresh(store, isDue);
    } catch (error) {
      // The next change looks again.
      log.warn(`volumes that moved are not removed yet: ${messageChainOf(error)}`);
    }
  }
}
