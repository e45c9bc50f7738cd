import type { Attachment } from "../../model/attachment.ts";
import type { ServiceId } from "../../model/ids.ts";

/**
 * Which networks are internal: those that any of their services says so of. One stack defines a
 * network, and others that name it as an external one don't know.
 */
export class InternalNetworks {
  readonly #users = new Map<string, Set<ServiceId>>();
  readonly #sayers = new Map<string, Set<ServiceId>>();
  readonly #said = new Map<ServiceId, readonly Attachment[]>();

  /** Answers the services whose networks are other ones then. */
  set(id: ServiceId, networks: readonly Attachment[]): Set<ServiceId> {
    const before = this.#said.get(id) ?? [];
    const names = new Set([...before, ...networks].map(({ network }) => network));
    const wasInternal = new Set([...names].filter((name) => this.#isInternal(name)));
    for (const { network } of before) {
      removeFrom(this.#users, network, id);
      removeFrom(this.#sayers, network, id);
    }
    for (const { network, internal } of networks) {
      addTo(this.#users, network, id);
      if (internal) addTo(this.#sayers, network, id);
    }
    if (networks.length === 0) this.#said.delete(id);
    else this.#said.set(id, networks);
    const touched = new Set<ServiceId>();
    for (const name of names) {
      if (wasInternal.has(name) === this.#isInternal(name)) continue;
      for (const user of this.#users.get(name) ?? []) touched.add(user);
    }
    return touched;
  }

  resolve(attachment: Attachment): Attachment {
    const internal = this.#isInternal(attachment.network);
    return internal === attachment.internal ? attachment : { ...attachment, internal };
  }

  #isInternal(network: string): boolean {
    return this.#sayers.has(network);
  }
}

function addTo(index: Map<string, Set<ServiceId>>, key: string, id: ServiceId): void {
  const ids = index.get(key) ?? new Set();
  index.set(key, ids.add(id));
}

function removeFrom(index: Map<string, Set<ServiceId>>, key: string, id: ServiceId): void {
  const ids = index.get(key);
  ids?.delete(id);
  if (ids?.size === 0) index.delete(key);
}
