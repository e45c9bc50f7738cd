import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Runtime } from "../../runtime/driver.ts";

export interface VolumeRemovalsOptions {
  log: Log;
  runtime: Pick<Runtime, "removeVolume">;
  /** Whether a task's container is being made that mounts the volume. */
  isWanted(volume: string): boolean;
  /** Whether it may be held: for a task, or by somebody who reads or writes its files. */
  mayHold(volume: string): boolean;
}

/**
 * Removes volumes with what is in them. A runtime can take long for one: nobody hears that a volume
 * is gone, and makes it anew, while an earlier order to remove it, or to use it, is under way.
 */
export class VolumeRemovals {
  readonly #options: VolumeRemovalsOptions;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(options: VolumeRemovalsOptions) {
    this.#options = options;
  }

  /** @throws OrchdError `conflict` (retryable) while one of ours uses it; what the runtime says */
  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await (this.#underWay.get(name) ?? this.#begin(name));
    }
  }

  #begin(name: string): Promise<void> {
    const removal = this.#remove(name).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, removal);
    return removal;
  }

  async #remove(name: string): Promise<void> {
    const { runtime, log } = this.#options;
    // Not every runtime knows who uses a volume: some have only its directory.
    if (this.#options.isWanted(name) || this.#options.mayHold(name)) throw inUse(name);
    try {
      await runtime.removeVolume(name);
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "conflict") throw error;
      // It belongs to somebody else, or somebody else uses it: then it is not ours to remove.
      log.warn(`a volume stays: ${messageChainOf(error)}`);
    }
  }
}

function inUse(name: string): OrchdError {
  const by = `\`orchd volume inspect ${name}\` tells by what`;
  const message = `the volume ${name} may still be in use here: ${by}`;
  return new OrchdError("conflict", message, { retryable: true });
}
