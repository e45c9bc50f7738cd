import { OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { contentIdOf, formatItem, type ContentRef, type Grant } from "../model/item.ts";
import { keyFromNodeKey, open, seal } from "../pki/seal.ts";
import type { AgentState } from "../store/agent-state/agent-state.ts";

export type ContentMemory = Pick<
  AgentState,
  "contentIds" | "loadContent" | "saveContent" | "deleteContents"
>;

/** The key under which a node keeps contents on its own disk: it comes from the node's own. */
export function contentKeyOf(nodeKeyPem: string): Uint8Array {
  return keyFromNodeKey(nodeKeyPem, "contents of secrets and configs");
}

/**
 * The contents that tasks of this node need, sealed on its own disk, so that they are there after a
 * power cut with no server in reach. What is opened is for the caller alone, and kept nowhere.
 */
export class Contents {
  readonly #memory: ContentMemory;
  readonly #key: Uint8Array;
  readonly #log: Log;
  /** Of which a server said that there are none any more. */
  readonly #gone = new Set<string>();

  constructor(memory: ContentMemory, key: Uint8Array, log: Log) {
    this.#memory = memory;
    this.#key = key;
    this.#log = log;
  }

  /** Which of these are not here, or can't be opened. */
  lacked(refs: readonly ContentRef[]): ContentRef[] {
    return refs.filter((ref) => this.#open(contentIdOf(ref)) === undefined);
  }

  /** Keeps a content; undefined says that there is none any more. @throws OrchdError `noSpace` */
  take(ref: ContentRef, bytes: Uint8Array | undefined): void {
    const id = contentIdOf(ref);
    if (bytes === undefined) this.#gone.add(id);
    else {
      this.#memory.saveContent(id, seal(this.#key, id, bytes));
      this.#gone.delete(id);
    }
  }

  /** Forgets all but these. */
  retain(needed: ReadonlyMap<string, unknown>): void {
    for (const id of this.#gone) if (!needed.has(id)) this.#gone.delete(id);
    const left = this.#memory.contentIds().filter((id) => !needed.has(id));
    if (left.length === 0) return;
    try {
      this.#memory.deleteContents(left);
    } catch {
      // A disk that is full for the moment: they are looked at again with the next set.
      this.#log.warn(`${left.length} contents that no task needs are still on disk`);
    }
  }

  /** What a task reads, if it is here. */
  find({ content }: Grant): Uint8Array | undefined {
    return content === undefined ? undefined : this.#open(contentIdOf(content));
  }

  /**
   * What a task reads.
   * @throws OrchdError `unreachable` (retryable) while it is not here, `notFound` when there is
   * none any more
   */
  read(grant: Grant): Uint8Array {
    const { content, kind } = grant;
    const what = formatItem(grant);
    if (content === undefined) throw new OrchdError("invalid", `${what} was never given a version`);
    const id = contentIdOf(content);
    const bytes = this.#open(id);
    if (bytes !== undefined) return bytes;
    if (this.#gone.has(id)) {
      const remedy = `make the ${kind} again and apply the stack again`;
      throw new OrchdError(
        "notFound",
        `${what} was removed (version ${content.number}): ${remedy}`,
      );
    }
    const message = `waits for ${what}, which comes from a server that is in reach and unlocked`;
    throw new OrchdError("unreachable", message, { retryable: true });
  }

  #open(id: string): Uint8Array | undefined {
    const sealed = this.#memory.loadContent(id);
    return sealed === undefined ? undefined : open(this.#key, id, sealed);
  }
}
