import type { Clock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { ImageStore } from "./image-store.ts";
import type { Mirror } from "./mirror.ts";
import type { Elsewhere } from "./registry.ts";

/** A registry that could not be reached is left alone for so long: each try takes its time. */
const ASIDE_MS = 60_000;

export interface PullThroughOptions {
  store: ImageStore;
  mirror: Mirror;
  /** Registries that are asked: `docker.io`, `registry.example:5000`; `*` means all. */
  hosts: readonly string[];
  clock: Clock;
  log: Log;
}

/**
 * Registries elsewhere behind a store: what it was given on purpose counts before them, and what
 * comes from them is a copy that can be had again.
 */
export class PullThrough implements Elsewhere {
  readonly #options: PullThroughOptions;
  /** Until when, in monotonic milliseconds, by host. */
  readonly #aside = new Map<string, number>();

  constructor(options: PullThroughOptions) {
    this.#options = options;
  }

  /** Whether one of the registries may have what this repository has. */
  covers(repository: string): boolean {
    const { hosts } = this.#options;
    return hosts.includes("*") || hosts.includes(hostOf(repository));
  }

  async bringManifest(repository: string, reference: string): Promise<boolean | undefined> {
    const { store, mirror, clock, log } = this.#options;
    const kept = store.find(repository, reference);
    if (kept !== undefined && !kept.isCopy) return true;
    const host = hostOf(repository);
    const now = clock.monotonicNow();
    if (!this.covers(repository) || (this.#aside.get(host) ?? 0) > now) return undefined;
    try {
      const found = await mirror.bringManifest(repository, reference);
      if (found === undefined) this.#aside.set(host, clock.monotonicNow() + ASIDE_MS);
      return found;
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "unauthorized") throw error;
      log.warn(`${repository} is not had from its registry: ${messageChainOf(error)}`);
      return undefined;
    }
  }

  async bringBlob(repository: string, digest: string): Promise<void> {
    if (this.covers(repository)) await this.#options.mirror.bringBlob(repository, digest);
  }

  async bringChecked(
    repository: string,
    digest: string,
  ): Promise<AsyncGenerator<Uint8Array> | undefined> {
    if (!this.covers(repository)) return undefined;
    return this.#options.mirror.bringChecked(repository, digest);
  }

  /** A blob as it comes, from this byte on; undefined when it is here, or can't be had. */
  async bring(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncGenerator<Uint8Array> | undefined> {
    if (!this.covers(repository)) return undefined;
    return this.#options.mirror.bringLive(repository, digest, from);
  }
}

function hostOf(repository: string): string {
  return repository.slice(0, repository.indexOf("/"));
}
