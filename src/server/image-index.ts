import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { NodeId } from "../model/ids.ts";
import { specAt } from "../model/service.ts";
import type { AgentSession } from "../model/session.ts";
import type { Commit, Store } from "../store/store.ts";

export interface ImageIndexOptions {
  store: Store;
  log: Log;
}

/**
 * Which images nodes have, as far as this server has heard: what each agent says when its session
 * begins, and what has run there since. In memory alone; it only says which node is the better one,
 * so an image that was removed meanwhile does no harm.
 */
export class ImageIndex {
  readonly #store: Store;
  readonly #log: Log;
  readonly #byNode = new Map<NodeId, Set<string>>();
  readonly #unwatch: () => void;

  constructor({ store, log }: ImageIndexOptions) {
    this.#store = store;
    this.#log = log;
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
  }

  /** Whether the node is known to have the image under this very name. */
  has(nodeId: NodeId, image: string): boolean {
    return this.#byNode.get(nodeId)?.has(image) === true;
  }

  /** Asks an agent whose session has begun. Resolves when it has answered, or can't. */
  async learn(session: Pick<AgentSession, "nodeId" | "images">): Promise<void> {
    try {
      const images = await session.images();
      this.#byNode.set(session.nodeId, new Set(images.flatMap(({ references }) => references)));
    } catch (error) {
      // Its next session is asked again; until then what has run there is known.
      this.#log.warn(
        `node ${session.nodeId} does not say which images it has: ${messageOf(error)}`,
      );
    }
  }

  close(): void {
    this.#unwatch();
  }

  #onCommit({ applied }: Commit): void {
    for (const one of applied) {
      if (one.kind === "node" && one.after === undefined && one.before !== undefined) {
        this.#byNode.delete(one.before.id);
      }
      if (one.kind !== "task") continue;
      const { before, after } = one;
      if (after?.state !== "running" || before?.state === "running") continue;
      const service = this.#store.view().services.get(after.serviceId);
      if (service === undefined || after.nodeId === undefined) continue;
      this.#add(after.nodeId, specAt(service, after.revision).container.image);
    }
  }

  #add(nodeId: NodeId, image: string): void {
    const images = this.#byNode.get(nodeId);
    if (images === undefined) this.#byNode.set(nodeId, new Set([image]));
    else images.add(image);
  }
}
