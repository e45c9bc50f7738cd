import type { Clock } from "../lib/clock.ts";
import { DEPTH_MAX, type Descriptor } from "../core/oci/manifest.ts";
import type { ImageStore } from "./image-store.ts";

/** So long a blob that was pushed waits for the manifest that names it. */
const PUSHED_MS = 3_600_000;
const PUSHED_MAX = 100_000;

/**
 * What a repository has: the manifests and blobs that its own manifests name, and blobs that were
 * pushed into it of late. The store holds each blob once for all; this tells who has a right to it.
 */
export class RepositoryParts {
  readonly #store: ImageStore;
  readonly #clock: Clock;
  /** Until when, by repository and digest; the oldest first. */
  readonly #pushed = new Map<string, number>();

  constructor(store: ImageStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  notePushed(repository: string, digest: string): void {
    const now = this.#clock.monotonicNow();
    const key = `${repository}@${digest}`;
    this.#pushed.delete(key);
    this.#pushed.set(key, now + PUSHED_MS);
    for (const [oldest, until] of this.#pushed) {
      if (until > now && this.#pushed.size <= PUSHED_MAX) break;
      this.#pushed.delete(oldest);
    }
  }

  async has(repository: string, digest: string): Promise<boolean> {
    const until = this.#pushed.get(`${repository}@${digest}`) ?? 0;
    if (until > this.#clock.monotonicNow()) return true;
    if (this.#store.find(repository, digest) !== undefined) return true;
    return (await this.#find(repository, "any", digest)) !== undefined;
  }

  /** A manifest that the repository has only as a part of an index. */
  child(repository: string, digest: string): Promise<Descriptor | undefined> {
    return this.#find(repository, "children", digest);
  }

  async #find(
    repository: string,
    among: "any" | "children",
    digest: string,
  ): Promise<Descriptor | undefined> {
    const seen = new Set<string>();
    for (const entry of this.#store.entries()) {
      if (entry.repository !== repository) continue;
      const found = await this.#findIn(entry.digest, among, digest, seen);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #findIn(
    parent: string,
    among: "any" | "children",
    digest: string,
    seen: Set<string>,
    depth = 0,
  ): Promise<Descriptor | undefined> {
    if (seen.has(parent) || depth > DEPTH_MAX) return undefined;
    seen.add(parent);
    const manifest = await this.#store.manifest(parent);
    const { blobs = [], children = [] } = manifest ?? {};
    const own = among === "any" ? [...blobs, ...children] : children;
    const found = own.find((one) => one.digest === digest);
    if (found !== undefined) return found;
    for (const child of children) {
      const below = await this.#findIn(child.digest, among, digest, seen, depth + 1);
      if (below !== undefined) return below;
    }
    return undefined;
  }
}
