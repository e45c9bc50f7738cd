import type { Clock } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";
import type { NodeId } from "../model/ids.ts";
import { pinnedNameOf } from "../model/image-pin.ts";
import type { Node } from "../model/node.ts";
import type { AgentSession } from "../model/session.ts";
import type { View } from "../model/view.ts";
import type { Commit, Store } from "../store/store.ts";
import { Controller, type Outcome } from "./controller.ts";

/** A node that has too little room still is asked again after so long. */
const AGAIN_MS = 300_000;
/** A node that is back is ready a moment before its session can be used. */
const SESSION_SOON_MS = 1000;

export interface DiskReliefOptions {
  store: Store;
  clock: Clock;
  log: Log;
  session(nodeId: NodeId): AgentSession | undefined;
}

/**
 * Tells nodes with too little room on their disks which images are still needed, so that they can
 * remove others: those of all revisions that are kept are, since any of them can be gone back to.
 */
export class DiskRelief {
  readonly #options: DiskReliefOptions;
  readonly #nodes: Controller<NodeId>;
  /** Of nodes that could not make room when they were asked last. */
  readonly #troubles = new Map<NodeId, Trouble>();
  readonly #unwatch: () => void;

  constructor(options: DiskReliefOptions) {
    const { store, clock, log } = options;
    this.#options = options;
    this.#nodes = new Controller({
      name: "disk of node",
      clock,
      log,
      work: (nodeId) => this.#look(nodeId),
    });
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
    for (const node of store.view().nodes.values()) this.#note(node);
  }

  close(): void {
    this.#unwatch();
    this.#nodes.close();
  }

  #onCommit({ applied }: Commit): void {
    for (const { kind, after } of applied) {
      if (kind === "node" && after !== undefined) this.#note(after);
    }
  }

  #note({ id, disk }: Node): void {
    if (disk !== undefined && disk.level !== "roomy") this.#nodes.touch(id);
  }

  async #look(nodeId: NodeId): Promise<Outcome> {
    const { store, clock, log } = this.#options;
    const node = store.view().nodes.get(nodeId);
    const isShort = node?.disk !== undefined && node.disk.level !== "roomy";
    if (!isShort) this.#over(nodeId);
    // Its return is a change of the node.
    if (!isShort || node.health !== "ready") return {};
    const session = this.#options.session(nodeId);
    if (session === undefined) return { wakeAt: clock.now() + SESSION_SOON_MS };
    try {
      const removed = await session.pruneImages(imagesToKeep(store.view()));
      this.#over(nodeId);
      if (removed.length > 0) {
        log.info(`node ${node.hostname} removed images to make room: ${removed.join(", ")}`);
      }
    } catch (error) {
      const trouble =
        this.#troubles.get(nodeId) ?? new Trouble(log, `node ${node.hostname} makes room again`);
      this.#troubles.set(nodeId, trouble);
      trouble.note(`node ${node.hostname} made no room: ${messageChainOf(error)}`);
    }
    return { wakeAt: clock.now() + AGAIN_MS };
  }

  #over(nodeId: NodeId): void {
    this.#troubles.get(nodeId)?.over();
    this.#troubles.delete(nodeId);
  }
}

/** What nodes keep: by names, and by what revisions are pinned to, whatever has the name now. */
export function imagesToKeep(view: View): string[] {
  const revisions = [...view.services.values()].flatMap((service) => service.revisions);
  const pinned = revisions.flatMap(({ spec, pins }) =>
    Object.values(pins ?? {}).flatMap((pin) => [pin.id, pinnedNameOf(spec.container.image, pin)]),
  );
  return [...new Set([...neededImages(view), ...pinned])].sort();
}

/** Images of every revision that is kept, of any service. */
export function neededImages(view: View): string[] {
  const services = [...view.services.values()];
  const images = services.flatMap(({ revisions }) =>
    revisions.map(({ spec }) => spec.container.image),
  );
  return [...new Set(images)].sort();
}
