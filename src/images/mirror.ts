import type { Clock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { isDigest } from "../core/oci/reference.ts";
import { type Draft, LiveBlob } from "./blob-store.ts";
import type { ImageStore } from "./image-store.ts";
import type { LinkUse } from "./link-use.ts";
import type { Elsewhere } from "./registry.ts";

/** How often a blob is gone on with after its transfer broke without a byte of it. */
const TRIES_WITHOUT_GAIN = 5;
const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 5000;
const BLOBS_AT_ONCE = 4;
const TRIES_OF_WRONG_BYTES = 3;

export interface SourceManifest {
  bytes: Uint8Array;
  mediaType: string;
}

/** Another store that images can be had from. */
export interface ImageSource {
  /** Undefined when it does not have it. @throws OrchdError `unreachable` */
  manifest(repository: string, reference: string): Promise<SourceManifest | undefined>;
  /**
   * The bytes of a blob from this one on; undefined when it does not have it.
   * @throws OrchdError `unreachable`
   */
  blob(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** What came of a blob is not what it should be. */
  blame?(digest: string): void;
}

export interface MirrorOptions {
  store: ImageStore;
  source: ImageSource;
  clock: Clock;
  log: Log;
  /** Absent means as fast as it comes. */
  link?: LinkUse;
}

/**
 * Brings into a store what another one has: manifests as they are there now, blobs once. What it
 * brings is verified by its digest, and gone on with where it broke off, also in another life.
 */
export class Mirror implements Elsewhere {
  readonly #options: MirrorOptions;
  /** Blobs under way: whoever else wants one of them waits for it. */
  readonly #blobs = new Map<string, Promise<void>>();
  /** Of those, when the first of it is there to come. */
  readonly #begins = new Map<string, PromiseWithResolvers<void>>();
  readonly #live = new Map<string, LiveBlob>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #damages = 0;

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  async bringManifest(repository: string, reference: string): Promise<boolean | undefined> {
    const { store, source, log } = this.#options;
    if (isDigest(reference) && store.find(repository, reference) !== undefined) return true;
    try {
      const found = await source.manifest(repository, reference);
      if (found === undefined) return false;
      const tag = isDigest(reference) ? {} : { tag: reference };
      const given = { repository, ...tag, ...found, isCopy: true, mayLack: "anything" } as const;
      await store.putManifest(given);
      return true;
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "unreachable") throw error;
      log.info(`${repository} is looked for on this machine alone: ${messageChainOf(error)}`);
      return undefined;
    }
  }

  bringBlob(repository: string, digest: string): Promise<void> {
    const known = this.#blobs.get(digest);
    if (known !== undefined) return known;
    this.#begins.set(digest, Promise.withResolvers());
    const work = this.#inTurn(() => this.#bring(repository, digest)).finally(() => {
      this.#blobs.delete(digest);
      this.#begins.delete(digest);
    });
    this.#blobs.set(digest, work);
    return work;
  }

  /**
   * The bytes of a blob that is being brought, from this one on, as they come; undefined for one
   * that is not. Whoever reads them holds them against the digest.
   */
  follow(digest: string, from: number): AsyncGenerator<Uint8Array> | undefined {
    const live = this.#live.get(digest);
    return live && this.#options.store.blobs.follow(digest, from, live);
  }

  /** How often something came that was not what it should be. */
  get damages(): number {
    return this.#damages;
  }

  async bringChecked(
    repository: string,
    digest: string,
  ): Promise<AsyncGenerator<Uint8Array> | undefined> {
    const live = await this.#bringLive(repository, digest);
    return live && this.#options.store.blobs.follow(digest, 0, live, { isHeldBack: true });
  }

  /** As `follow`, of a blob that is brought for the purpose; resolves once it comes. */
  async bringLive(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncGenerator<Uint8Array> | undefined> {
    const live = await this.#bringLive(repository, digest);
    return live && this.#options.store.blobs.follow(digest, from, live);
  }

  async #bringLive(repository: string, digest: string): Promise<LiveBlob | undefined> {
    if ((await this.#options.store.sizeOf(digest)) !== undefined) return undefined;
    const ended = this.bringBlob(repository, digest).catch((error: unknown) => {
      const { log } = this.#options;
      log.info(`the blob ${digest} does not come: ${messageChainOf(error)}`);
    });
    const begins = this.#begins.get(digest)?.promise ?? ended;
    const first = await Promise.race([begins.then(() => "begun" as const), ended]);
    return first === "begun" ? this.#live.get(digest) : undefined;
  }

  async #bring(repository: string, digest: string): Promise<void> {
    const { store, source, log } = this.#options;
    for (let tries = 1; (await store.sizeOf(digest)) === undefined; tries++) {
      try {
        return await this.#bringOnce(repository, digest);
      } catch (error) {
        const isWrong = error instanceof OrchdError && error.code === "damaged";
        if (isWrong) {
          this.#damages += 1;
          log.warn(messageChainOf(error));
          source.blame?.(digest);
        }
        if (!isWrong || tries === TRIES_OF_WRONG_BYTES) throw error;
      }
    }
  }

  async #bringOnce(repository: string, digest: string): Promise<void> {
    const { store } = this.#options;
    const draft = await store.blobs.resume(digest);
    const live = new LiveBlob(draft.bytes);
    this.#live.set(digest, live);
    try {
      const isComplete = await this.#fill(repository, digest, draft, live);
      if (isComplete) await store.commit(draft, digest);
      live.end(isComplete);
    } finally {
      this.#live.delete(digest);
      live.end(false);
      // What has come of it stays.
      await draft.discard();
    }
  }

  /** Whether the draft has all of the blob now; not, when the source does not have it. */
  async #fill(repository: string, digest: string, draft: Draft, live: LiveBlob): Promise<boolean> {
    const { source, clock, log, link } = this.#options;
    let tries = 0;
    for (;;) {
      const before = draft.bytes;
      try {
        const bytes = await source.blob(repository, digest, before);
        if (bytes === undefined) return false;
        this.#begins.get(digest)?.resolve();
        for await (const piece of link?.paced("in", bytes) ?? bytes) {
          await draft.write(piece);
          live.grow(draft.bytes);
        }
        return true;
      } catch (error) {
        if (!(error instanceof OrchdError) || !error.retryable) throw error;
        tries = draft.bytes > before ? 0 : tries + 1;
        if (tries >= TRIES_WITHOUT_GAIN) throw error;
        log.info(`the transfer of ${digest} goes on at ${draft.bytes}: ${messageChainOf(error)}`);
        const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** tries, PAUSE_MAX_MS);
        await new Promise<void>((go) => clock.after(pauseMs, go));
      }
    }
  }

  /** More at once only share the same link. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#running >= BLOBS_AT_ONCE) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running += 1;
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
