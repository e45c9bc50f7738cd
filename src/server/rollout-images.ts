import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Applied } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import { specAt, specOf, type Service } from "../model/service.ts";
import type { AgentSession } from "../model/session.ts";
import { occupiesNode } from "../model/task.ts";
import type { Store } from "../store/store.ts";

export interface RolloutImagesOptions {
  store: Store;
  log: Log;
  session(this: void, nodeId: NodeId): Pick<AgentSession, "fetchImages"> | undefined;
}

/**
 * Has all nodes that hold slots of a service get the image that it goes to, all at once and as soon
 * as that is known: the slots of a rollout then have it when their turn comes. It only sends ahead.
 * That an old task stays until its successor has its image is the rollout's own rule.
 */
export class RolloutImages {
  readonly #options: RolloutImagesOptions;
  readonly #unwatch: () => void;

  constructor(options: RolloutImagesOptions) {
    this.#options = options;
    this.#unwatch = options.store.watch(({ applied }) => {
      for (const one of applied) this.#onApplied(one);
    });
  }

  close(): void {
    this.#unwatch();
  }

  #onApplied({ kind, before, after }: Applied): void {
    if (kind !== "service" || after?.rollout === undefined) return;
    if (after.rollout.to !== before?.rollout?.to) this.#send(after);
  }

  #send(service: Service): void {
    const { store, log, session } = this.#options;
    const { image, runtime } = specOf(service).container;
    if (runtime === "process") return;
    const nodes = store
      .view()
      .tasksOf(service.id)
      .flatMap((task) => {
        const has = specAt(service, task.revision).container.image === image;
        return task.nodeId !== undefined && occupiesNode(task) && !has ? [task.nodeId] : [];
      });
    for (const nodeId of new Set(nodes)) {
      // What it can't have now it gets when its slot's turn comes, or says why not.
      session(nodeId)
        ?.fetchImages([image])
        .catch((error: unknown) =>
          log.info(`node ${nodeId} does not get ${image} ahead: ${messageChainOf(error)}`),
        );
    }
  }
}
