import type { SiteImages } from "../agent/site-images.ts";
import { copyImage } from "../images/copy-image.ts";
import { loadArchive } from "../images/load-archive.ts";
import { type PeerAnswer, smallAnswer } from "../images/peer-answer.ts";
import { saveArchive } from "../images/save-archive.ts";
import { UpstreamRegistries } from "../images/upstream.ts";
import type { Clock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sortedBy } from "../lib/order.ts";
import {
  formatImageReference,
  type ImageReference,
  parseImageReference,
  repositoryFromWire,
} from "../core/oci/reference.ts";
import type { ImageCopy, Freed, KeptImage, LoadedImages } from "../model/image.ts";
import { INSIST_HEADER, PEER_BLOB_BYTES_MIN, PEER_HEADER } from "../model/image-peer.ts";
import type { NodeId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import type { RegistryScope } from "../model/registry-scope.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";
import { ImageTracker } from "./image-tracker.ts";
import { neededImages } from "./disk-relief.ts";

export interface KeptImagesOptions {
  site: SiteImages;
  store: Store;
  sessions(): AgentSession[];
  clock: Clock;
  log: Log;
}

/** The images that the site keeps, as people load, look at and remove them. */
export class KeptImages {
  readonly #options: KeptImagesOptions;
  readonly #tracker = new ImageTracker();

  constructor(options: KeptImagesOptions) {
    this.#options = options;
  }

  /** A request to the registry, of one who may do only this there; absent means everything. */
  answer(request: Request, scopes?: readonly RegistryScope[]): Promise<Response> {
    return this.#options.site.registry.answer(request, scopes);
  }

  /** A node's request; one that takes large blobs from other nodes too is told who has them. */
  async answerNode(nodeId: NodeId, request: Request): Promise<PeerAnswer> {
    const { site, store } = this.#options;
    const port = request.headers.get(PEER_HEADER);
    const blob = blobIn(request);
    if (port === null || blob === undefined) return site.answerNode(request);
    const { digest, repository } = blob;
    const size = await site.store.sizeOf(digest);
    const isLarge = size === undefined ? site.isUpstream(repository) : size >= PEER_BLOB_BYTES_MIN;
    if (!isLarge) return site.answerNode(request);
    const node = store.view().nodes.get(nodeId);
    if (node === undefined) return site.answerNode(request);
    const peers = this.#tracker.ask({
      digest,
      nodeId,
      host: node.address,
      ...(/^[1-9]\d{0,4}$/.test(port) ? { port: Number(port) } : {}),
      isCapped: node.link?.bytesPerSecond !== undefined,
      insist: request.headers.has(INSIST_HEADER),
    });
    if (peers.length === 0) return site.answerNode(request);
    return smallAnswer(Response.json({ peers }, { status: 303 }));
  }

  /**
   * Takes an archive, and has every connected node get what it holds. A node that can't gets it
   * when a task there needs it.
   * @throws OrchdError `invalid` with what is wrong with the archive, `noSpace`
   */
  async load(archive: AsyncIterable<Uint8Array>): Promise<LoadedImages> {
    const references = await loadArchive(this.#options.site.store, archive);
    return this.#fetch(references, {});
  }

  /**
   * Brings an image from a registry elsewhere, and has every connected node get it. Unless all is
   * asked for, it is kept for the kinds of machines that the cluster has.
   * @throws OrchdError `usage`, `notFound`, `unauthorized`, `unreachable`, `invalid`, `noSpace`
   */
  async copy({ from, as, login, all }: ImageCopy): Promise<LoadedImages> {
    const { site, store, clock, log } = this.#options;
    const [source, target] = [requireReference(from), requireReference(as ?? from)];
    const architectures = new Set([...store.view().nodes.values()].map((n) => n.platform.arch));
    const reference = await copyImage({
      store: site.store,
      source: new UpstreamRegistries({ login: () => login, now: () => clock.now() }),
      clock,
      log,
      from: source,
      as: target,
      ...(site.link && { link: site.link }),
      ...(all ? {} : { architectures }),
    });
    return this.#fetch([reference], {});
  }

  /**
   * Has the connected nodes with all these labels get images that the site keeps.
   * @throws OrchdError `notFound` when one is not kept
   */
  async fetch(
    names: readonly string[],
    labels: Readonly<Record<string, string>>,
  ): Promise<LoadedImages> {
    const found = names.map((name) => this.#options.site.store.resolve(name).reference);
    return this.#fetch(found.map(formatImageReference), labels);
  }

  async #fetch(
    references: string[],
    labels: Readonly<Record<string, string>>,
  ): Promise<LoadedImages> {
    const view = this.#options.store.view();
    const named = this.#options.sessions().flatMap((agent) => {
      const found = view.nodes.get(agent.nodeId);
      const isMeant = Object.entries(labels).every(([key, value]) => found?.labels[key] === value);
      return isMeant ? [{ agent, node: found?.hostname ?? agent.nodeId }] : [];
    });
    const nodes = await Promise.all(
      sortedBy(named, ({ node }) => node).map(async ({ agent, node }) => {
        try {
          return { node, references: await agent.fetchImages(references) };
        } catch (error) {
          return { node, references: [], problem: messageChainOf(error) };
        }
      }),
    );
    return { references, nodes };
  }

  async list(): Promise<KeptImage[]> {
    const images = await this.#options.site.store.images();
    return images.map(({ reference, digest, sizeBytes, at, platforms }) => {
      return { reference, digest, sizeBytes, at, platforms };
    });
  }

  /** @throws OrchdError `notFound` when one of them is not kept */
  async save(names: readonly string[]): Promise<AsyncIterable<Uint8Array>> {
    return (await saveArchive(this.#options.site.store, names)).pieces;
  }

  /**
   * Forgets a name, and what nothing else needs of its image.
   * @throws OrchdError `notFound`; `conflict` without `force` when a service may still need it
   */
  async remove(name: string, options: { force: boolean }): Promise<Freed> {
    const { store } = this.#options.site;
    const { entry, reference } = store.resolve(name);
    const whole = formatImageReference(reference);
    const users = usersOf(this.#options.store.view(), whole);
    if (users.length > 0 && !options.force) {
      const message =
        `${users.slice(0, 3).join(", ")} may need ${whole}, now or when going back to an earlier ` +
        "revision: leave it, or use --force";
      throw new OrchdError("conflict", message);
    }
    await store.remove(entry.repository, entry.tag ?? entry.digest);
    return this.prune();
  }

  /** Removes what no name and no revision of a service needs; of copies, what no revision needs. */
  async prune(): Promise<Freed> {
    const view = this.#options.store.view();
    const copies = new Set(neededImages(view).map(fullNameOf));
    const digests = pinnedDigests(view);
    return { freedBytes: await this.#options.site.store.collect({ digests, copies }) };
  }
}

function requireReference(text: string): ImageReference {
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw new OrchdError("usage", parsed.problem);
  return parsed.value;
}

/** The blob that is asked for; what is no address of one is told by the registry. */
function blobIn(request: Request): { repository: string; digest: string } | undefined {
  const { pathname } = new URL(request.url);
  const [, name = "", digest] = /^\/v2\/(.+)\/blobs\/(sha256:[0-9a-f]{64})$/.exec(pathname) ?? [];
  const repository = repositoryFromWire(name);
  return digest === undefined || repository === undefined ? undefined : { repository, digest };
}

function fullNameOf(image: string): string {
  const parsed = parseImageReference(image);
  return parsed.ok ? formatImageReference(parsed.value) : image;
}

/** What revisions that are kept are pinned to: an undo gets that very image. */
function pinnedDigests(view: View): Set<string> {
  const revisions = [...view.services.values()].flatMap((service) => service.revisions);
  const pins = revisions.flatMap((revision) => Object.values(revision.pins ?? {}));
  return new Set(pins.map(({ digest }) => digest));
}

/** Services with a revision of this image, as `stack/service`. */
function usersOf(view: View, reference: string): string[] {
  const isMeant = (image: string) => fullNameOf(image) === reference;
  if (!neededImages(view).some(isMeant)) return [];
  const users = [...view.services.values()].filter((service) =>
    service.revisions.some(({ spec }) => isMeant(spec.container.image)),
  );
  return users.map(({ stack, name }) => `${stack}/${name}`).sort();
}
