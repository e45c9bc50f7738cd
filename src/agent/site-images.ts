import { join } from "node:path";
import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import {
  formatImageReference,
  type ImageReference,
  parseImageReference,
  repositoryOf,
  tagOfDigest,
  wireNameOf,
} from "../core/oci/reference.ts";
import { ImageStore } from "../images/image-store.ts";
import { type RegistryGuard, type RegistryListener, serveRegistry } from "../images/listen.ts";
import type { LinkUse } from "../images/link-use.ts";
import { type ImageSource, Mirror } from "../images/mirror.ts";
import { type PeerAnswer, smallAnswer } from "../images/peer-answer.ts";
import { PullThrough } from "../images/pull-through.ts";
import { Registry } from "../images/registry.ts";
import { passOnBlob } from "../images/registry-blob.ts";
import { registryProblem } from "../images/registry-error.ts";
import { parseRegistryPath } from "../images/registry-route.ts";
import { whileItComes } from "../images/while-it-comes.ts";
import { type Upstream, UpstreamRegistries } from "../images/upstream.ts";
import type { Runtime } from "../runtime/driver.ts";

/** What was never completed is swept away so often. */
const SWEEP_MS = 6 * 3_600_000;

const TRIES_OF_WRONG_BYTES = 3;

export interface SiteImagesOptions {
  /** Holds the images, in a directory of its own. */
  dataDir: string;
  clock: Clock;
  log: Log;
  /** Where images come from that are not here; absent on a server, which has what there is. */
  source?: ImageSource;
  /** On a server: registries elsewhere, from which it gets what it does not keep. */
  upstream?: Upstream;
  /** How images go from and to other machines; absent means as fast as they can. */
  link?: LinkUse;
  /** Who may change what is here, see `serveRegistry`. */
  guard?: RegistryGuard;
}

/**
 * The images of a machine: its store, with the registry on loopback from which its own runtime
 * pulls, layer by layer. What is not here comes from the servers' store while somebody pulls it.
 */
export class SiteImages {
  readonly store: ImageStore;
  readonly registry: Registry;
  readonly #mirror: Mirror | undefined;
  readonly #upstream: PullThrough | undefined;
  /** The same store, for those who are to get nothing else. */
  readonly #kept: Registry;
  readonly #listener: RegistryListener;
  readonly #log: Log;
  readonly #clock: Clock;
  /** How this machine's link is used for images; absent means as far as it goes. */
  readonly link: LinkUse | undefined;
  /** Images on their way into the runtime: whoever else wants one of them waits its turn. */
  readonly #giving = new Map<string, Promise<boolean>>();
  #sweep: Timer;

  private constructor(
    store: ImageStore,
    registry: Registry,
    { mirror, upstream }: { mirror: Mirror | undefined; upstream: PullThrough | undefined },
    options: SiteImagesOptions,
  ) {
    this.store = store;
    this.registry = registry;
    this.#mirror = mirror;
    this.#upstream = upstream;
    this.#log = options.log;
    this.#clock = options.clock;
    this.link = options.link;
    this.#kept = new Registry({ store, clock: options.clock, log: options.log });
    this.#listener = serveRegistry({ registry, ...options });
    this.#sweep = this.#sweepLater();
  }

  /** @throws OrchdError `noSpace`, `internal` */
  static async open(options: SiteImagesOptions): Promise<SiteImages> {
    const { dataDir, clock, log, link, upstream: from } = options;
    const login = from?.login;
    const own = login && new UpstreamRegistries({ login, now: () => clock.now() });
    const source = options.source ?? own;
    const store = await ImageStore.open(join(dataDir, "images"), { clock, log });
    const mirror = source && new Mirror({ store, source, clock, log, ...(link && { link }) });
    const hosts = from?.hosts ?? [];
    const upstream = from && mirror && new PullThrough({ store, mirror, hosts, clock, log });
    const elsewhere = upstream ?? mirror;
    const registry = new Registry({ store, clock, log, ...(elsewhere && { elsewhere }) });
    return new SiteImages(store, registry, { mirror, upstream }, options);
  }

  /**
   * Answers another node from what is here and what is just coming, and asks nobody else for it.
   */
  async answerPeer(request: Request): Promise<PeerAnswer> {
    const answer = await this.#answer(request, this.#kept, ({ digest, from }) =>
      this.#mirror?.follow(digest, from),
    );
    return this.#paced(answer);
  }

  /** Answers a node, on a server: what has to come from elsewhere is passed on as it comes. */
  async answerNode(request: Request): Promise<PeerAnswer> {
    const answer = await this.#answer(request, this.registry, ({ repository, digest, from }) =>
      this.#upstream?.bring(repository, digest, from),
    );
    return this.#paced(answer);
  }

  #paced(answer: PeerAnswer): PeerAnswer {
    const { pieces } = answer;
    return this.link === undefined ? answer : { ...answer, pieces: this.link.paced("out", pieces) };
  }

  /** Whether what this server does not keep of a repository can be had elsewhere. */
  isUpstream(repository: string): boolean {
    return this.#upstream?.covers(repository) === true;
  }

  /** Where the registry is: `127.0.0.1:6775`. */
  get address(): string {
    return this.#listener.address;
  }

  /**
   * Gives the runtime an image that the site has, under the name by which services know it.
   * @returns whether the site has it
   * @throws OrchdError `runtime`, `noSpace` when it has and the runtime could not take it
   */
  give(runtime: Pick<Runtime, "takeImage">, reference: string, platform = ""): Promise<boolean> {
    const key = `${platform} ${reference}`;
    const before = this.#giving.get(key)?.catch(() => false);
    const own = () => this.#give(runtime, reference, platform);
    // Its layers are there by then, and its name may mean another image.
    const giving = (before === undefined ? own() : before.then(own)).finally(() => {
      if (this.#giving.get(key) === giving) this.#giving.delete(key);
    });
    this.#giving.set(key, giving);
    return giving;
  }

  async #give(
    runtime: Pick<Runtime, "takeImage">,
    reference: string,
    platform: string,
  ): Promise<boolean> {
    const parsed = parseImageReference(reference);
    if (!parsed.ok || !(await this.#has(parsed.value))) return false;
    const { tag = "latest", digest } = parsed.value;
    const repository = repositoryOf(parsed.value);
    // A runtime knows an image by its digest only while it has a name of the same repository.
    const named = digest === undefined ? tag : tagOfDigest(digest);
    const from = `${this.#listener.address}/${wireNameOf(repository)}:${named}`;
    const taken = { from, repository, tag: named, ...(platform === "" ? {} : { platform }) };
    for (let tries = 1; ; tries++) {
      const before = this.#mirror?.damages;
      try {
        await runtime.takeImage(taken);
        return true;
      } catch (error) {
        // What a bad node gave was passed on as it came; the next time another one is asked.
        if (tries === TRIES_OF_WRONG_BYTES || this.#mirror?.damages === before) throw error;
      }
    }
  }

  /**
   * Has a blob here that the site has; it stays for an hour at least.
   * @throws OrchdError `notFound`, `unreachable`, `noSpace`
   */
  async bringBlob(repository: string, digest: string): Promise<void> {
    await this.#mirror?.bringBlob(repository, digest);
    if ((await this.store.sizeOf(digest)) !== undefined) return;
    throw new OrchdError("notFound", `the site does not have ${digest}`);
  }

  /**
   * Removes copies that none of these names means: they can be had again. A server, which has
   * nobody to have them from, removes nothing.
   * @returns how many bytes it freed
   */
  async dropCopies(keep: readonly string[]): Promise<number> {
    if (this.#mirror === undefined || this.#upstream !== undefined) return 0;
    const copies = new Set<string>();
    const digests = new Set<string>();
    for (const name of keep) {
      const parsed = parseImageReference(name);
      if (!parsed.ok) continue;
      copies.add(formatImageReference(parsed.value));
      if (parsed.value.digest !== undefined) digests.add(parsed.value.digest);
    }
    return this.store.collect({ digests, copies });
  }

  close(): Promise<void> {
    this.#sweep.cancel();
    return this.#listener.close();
  }

  #sweepLater(): Timer {
    return this.#clock.after(SWEEP_MS, () => {
      this.store.sweep().catch((error: unknown) => {
        this.#log.warn(`what is left of images is not swept away: ${messageChainOf(error)}`);
      });
      this.#sweep = this.#sweepLater();
    });
  }

  async #answer(
    request: Request,
    registry: Registry,
    liveOf: (asked: AskedBlob) => Promise<Pieces | undefined> | Pieces | undefined,
  ): Promise<PeerAnswer> {
    const asked = blobAskedFor(request);
    const live = asked && (await liveOf(asked));
    if (live !== undefined) {
      const pieces = whileItComes(live, this.#clock);
      return { status: request.headers.has("range") ? 206 : 200, headers: {}, pieces };
    }
    if (asked === undefined || (await this.store.sizeOf(asked.digest)) === undefined) {
      return smallAnswer(await registry.answer(request));
    }
    return passOnBlob(this.store, request, asked.digest).catch((error: unknown) =>
      smallAnswer(registryProblem(error, () => {})),
    );
  }

  async #has(reference: ImageReference): Promise<boolean> {
    const repository = repositoryOf(reference);
    const wanted = reference.digest ?? reference.tag ?? "latest";
    try {
      // What the site keeps no more may be had elsewhere, and newer: a copy of it counts no more.
      const elsewhere = this.#upstream ?? this.#mirror;
      if ((await elsewhere?.bringManifest(repository, wanted)) === false) return false;
    } catch (error) {
      // What is here, and any other registry, is as good as before.
      if (!(error instanceof OrchdError)) throw error;
      this.#log.warn(`the site's images can't be asked for: ${messageChainOf(error)}`);
    }
    return this.store.find(repository, wanted) !== undefined;
  }
}

type Pieces = AsyncGenerator<Uint8Array>;

/** A blob, with the byte from which on it is wanted. */
interface AskedBlob {
  repository: string;
  digest: string;
  from: number;
}

function blobAskedFor(request: Request): AskedBlob | undefined {
  const route = parseRegistryPath(new URL(request.url).pathname);
  if (route?.kind !== "blob") return undefined;
  const [, from = "0"] =
    /^bytes=(\d{1,15})-\d{0,15}$/.exec(request.headers.get("range") ?? "") ?? [];
  return { repository: route.repository, digest: route.digest, from: Number(from) };
}
