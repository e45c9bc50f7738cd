import * as fs from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sortedBy } from "../lib/order.ts";
import {
  DEPTH_MAX,
  type Descriptor,
  type Manifest,
  MANIFEST_BYTES_MAX,
  parseManifest,
} from "../core/oci/manifest.ts";
import { formatImageReference, isDigest, parseImageReference } from "../core/oci/reference.ts";
import { repositoryOf, type ImageReference } from "../core/oci/reference.ts";
import { type Blob, BlobStore, type Draft } from "./blob-store.ts";
import { Catalog, type Entry } from "./catalog.ts";

/** A blob that nothing refers to yet stays so long for whoever brought it, or asked for it. */
const HOLD_MS = 3_600_000;
const HELD_MAX = 100_000;
/** Manifests that are kept read, which are most of what is asked for. */
const KNOWN_MAX = 256;

/** An image that is kept, as people see it. */
export interface StoredImage {
  /** In full. */
  reference: string;
  digest: string;
  /** Manifests and blobs together. */
  sizeBytes: number;
  /** When it came, in milliseconds since 1970. */
  at: number;
  /** `linux/arm64`; several for an image that is made for several. */
  platforms: string[];
  isCopy: boolean;
}

export interface NewManifest {
  repository: string;
  tag?: string;
  /** As it was said where the bytes came from; absent means as they say themselves. */
  mediaType?: string;
  bytes: Uint8Array;
  isCopy?: boolean;
  /** What may be missing of it: a manifest that an index names, or blobs too, or nothing. */
  mayLack?: "children" | "anything";
}

/**
 * Images on the disk of a machine: an OCI image layout that is safe against any end of the process,
 * and forgets nothing that it was given until it is asked to.
 */
export class ImageStore {
  readonly blobs: BlobStore;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  /** Until when a blob stays though nothing refers to it. */
  readonly #held = new Map<string, number>();
  readonly #known = new Map<string, Manifest>();

  private constructor(blobs: BlobStore, catalog: Catalog, clock: Clock) {
    this.blobs = blobs;
    this.#catalog = catalog;
    this.#clock = clock;
  }

  /** @throws OrchdError `noSpace`, `internal` */
  static async open(
    dir: string,
    { clock, log, reserveBytes }: { clock: Clock; log: Log; reserveBytes?: number },
  ): Promise<ImageStore> {
    await fs.mkdir(dir, { recursive: true, mode: 0o700 });
    const blobs = await BlobStore.open(dir, reserveBytes);
    return new ImageStore(blobs, await Catalog.open(dir, log), clock);
  }

  find(repository: string, reference: string): Entry | undefined {
    return this.#catalog.find(repository, reference);
  }

  entries(): readonly Entry[] {
    return this.#catalog.entries();
  }

  hasRepository(repository: string): boolean {
    return this.#catalog.entries().some((one) => one.repository === repository);
  }

  tags(repository: string): string[] {
    return this.#catalog.tags(repository);
  }

  /** Whether a blob is here; if so it stays for an hour. */
  async sizeOf(digest: string): Promise<number | undefined> {
    this.#hold(digest);
    const size = await this.blobs.sizeOf(digest);
    if (size === undefined) this.#held.delete(digest);
    return size;
  }

  /** @throws OrchdError `damaged` when it is another one than expected, `noSpace` */
  async commit(draft: Draft, expected?: string): Promise<Blob> {
    // Held before it is in its place: nobody refers to it yet.
    return draft.commit(expected, (digest) => this.#hold(digest));
  }

  /** A manifest that is here, read; undefined for one that is not. */
  async manifest(digest: string): Promise<Manifest | undefined> {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const bytes = await this.blobs.readSmall(digest, MANIFEST_BYTES_MAX);
    if (bytes === undefined) return undefined;
    const parsed = parseManifest(bytes.toString());
    if (!parsed.ok) return undefined;
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(digest, parsed.value);
    return parsed.value;
  }

  /**
   * Gives a repository a manifest; durable when it resolves.
   * @throws OrchdError `invalid` when it makes no sense or what it names is not here, `noSpace`
   */
  async putManifest(given: NewManifest): Promise<Entry> {
    const { repository, tag, mediaType, bytes, isCopy = false, mayLack } = given;
    if (bytes.length > MANIFEST_BYTES_MAX) {
      throw new OrchdError("tooLarge", "the manifest is larger than 4 MiB");
    }
    const parsed = parseManifest(new TextDecoder().decode(bytes), mediaType);
    if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
    const draft = await this.blobs.draft();
    try {
      await draft.write(bytes);
    } catch (error) {
      await draft.discard();
      throw error;
    }
    const { digest, size } = await this.commit(draft);
    return this.#catalog.exclusive(async () => {
      if (mayLack !== "anything") {
        await this.#requireParts(parsed.value, { mayLack: mayLack === "children" });
      }
      const entry: Entry = {
        repository,
        ...(tag === undefined ? {} : { tag }),
        digest,
        mediaType: parsed.value.mediaType,
        size,
        at: this.#clock.now(),
        isCopy,
      };
      const entries = this.#catalog.entries();
      const old = tag === undefined ? undefined : this.#catalog.find(repository, tag);
      const same = old?.digest === digest && old.isCopy === isCopy;
      const known = tag === undefined ? this.#catalog.find(repository, digest) : undefined;
      if (!same && known === undefined) {
        await this.#catalog.replace(withEntry(entries, entry, old));
      }
      // What it names stays for its sake from now on.
      const { blobs, children } = parsed.value;
      for (const one of [entry, ...blobs, ...children]) this.#held.delete(one.digest);
      return known ?? entry;
    });
  }

  /**
   * Whether a manifest that is among the blobs could be given to a repository.
   * @throws OrchdError `invalid` when it makes no sense or what it names is not here
   */
  async requireWhole({ digest, mediaType }: Pick<Entry, "digest" | "mediaType">): Promise<Buffer> {
    const bytes = await this.blobs.readSmall(digest, MANIFEST_BYTES_MAX);
    if (bytes === undefined) throw new OrchdError("invalid", `the manifest ${digest} is not here`);
    const parsed = parseManifest(bytes.toString(), mediaType);
    if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
    await this.#requireParts(parsed.value, { mayLack: true });
    return bytes;
  }

  /** Takes a tag away, or a manifest with all its tags; answers whether it was there. */
  remove(repository: string, reference: string): Promise<boolean> {
    return this.#catalog.exclusive(async () => {
      const isBy = isDigest(reference) ? "digest" : "tag";
      const isMeant = (one: Entry) => one.repository === repository && one[isBy] === reference;
      const entries = this.#catalog.entries();
      const left = entries.filter((one) => !isMeant(one));
      if (left.length === entries.length) return false;
      await this.#catalog.replace(left);
      return true;
    });
  }

  /**
   * Removes what nothing refers to any more: manifests without a tag that are about none that
   * stays, and blobs of no manifest.
   * @param keep digests of manifests that stay without a tag, and references of copies that stay;
   * absent means that copies stay as well
   * @returns how many bytes it freed
   */
  collect(keep: { digests: ReadonlySet<string>; copies?: ReadonlySet<string> }): Promise<number> {
    return this.#catalog.exclusive(async () => {
      const now = this.#clock.now();
      for (const [digest, until] of this.#held) if (until <= now) this.#held.delete(digest);
      const reached = new Set<string>();
      const entries = this.#catalog.entries();
      const left: Entry[] = entries.filter((one) => this.#stays(one, keep));
      for (const { digest } of left) await this.#reach(digest, reached);
      for (const entry of entries.filter((one) => !left.includes(one))) {
        // What is about another manifest, such as its signature, stays with it.
        const subject = (await this.manifest(entry.digest))?.subject?.digest;
        if (subject === undefined || !reached.has(subject)) continue;
        left.push(entry);
        await this.#reach(entry.digest, reached);
      }
      if (left.length < entries.length) await this.#catalog.replace(left);
      let freed = 0;
      for (const digest of await this.blobs.list()) {
        if (reached.has(digest)) continue;
        const size = (await this.blobs.sizeOf(digest)) ?? 0;
        // Somebody may have asked for it meanwhile; between this look and its end nobody can.
        if (this.#held.has(digest)) continue;
        this.#known.delete(digest);
        this.blobs.remove(digest);
        freed += size;
      }
      await this.blobs.removePartials(new Set(this.#held.keys()));
      return freed;
    });
  }

  /** Removes blobs of no manifest, as uploads and archives leave that were never completed. */
  sweep(): Promise<number> {
    return this.collect({ digests: new Set(this.entries().map(({ digest }) => digest)) });
  }

  /** All that have a tag, by name. */
  async images(): Promise<StoredImage[]> {
    const tagged = this.#catalog.entries().filter(({ tag }) => tag !== undefined);
    const images = await Promise.all(tagged.map((entry) => this.#describe(entry)));
    return sortedBy(images, ({ reference }) => reference);
  }

  /**
   * What a reference means here.
   * @throws OrchdError `invalid` for what is none, `notFound`
   */
  resolve(text: string): { entry: Entry; reference: ImageReference } {
    const parsed = parseImageReference(text);
    if (!parsed.ok) throw new OrchdError("usage", parsed.problem);
    const { value: reference } = parsed;
    const wanted = reference.digest ?? reference.tag ?? "latest";
    const entry = this.#catalog.find(repositoryOf(reference), wanted);
    if (entry !== undefined) return { entry, reference };
    const name = formatImageReference(reference);
    throw new OrchdError("notFound", `the image ${name} is not kept here: see orchd image ls`);
  }

  async #describe({ repository, tag, digest, at, isCopy }: Entry): Promise<StoredImage> {
    const reached = new Set<string>();
    await this.#reach(digest, reached);
    const sizes = await Promise.all([...reached].map((one) => this.blobs.sizeOf(one)));
    const sizeBytes = sizes.reduce((sum: number, size) => sum + (size ?? 0), 0);
    const platforms = await this.#platformsOf(digest);
    return { reference: `${repository}:${tag}`, digest, sizeBytes, at, platforms, isCopy };
  }

  async #platformsOf(digest: string): Promise<string[]> {
    const manifest = await this.manifest(digest);
    const here: string[] = [];
    for (const { digest: child, platform } of manifest?.children ?? []) {
      const isHere = (await this.blobs.sizeOf(child)) !== undefined;
      if (platform === undefined || platform.os === "unknown" || !isHere) continue;
      here.push([platform.os, platform.architecture, platform.variant].filter(Boolean).join("/"));
    }
    return here;
  }

  #stays(
    { repository, tag, digest, isCopy }: Entry,
    keep: { digests: ReadonlySet<string>; copies?: ReadonlySet<string> },
  ): boolean {
    if (keep.digests.has(digest) || this.#held.has(digest)) return true;
    if (tag === undefined) return false;
    return !isCopy || (keep.copies?.has(`${repository}:${tag}`) ?? true);
  }

  /** Everything that a manifest needs, itself included. */
  async #reach(digest: string, reached: Set<string>, depth = 0): Promise<void> {
    if (reached.has(digest) || depth > DEPTH_MAX) return;
    reached.add(digest);
    const manifest = await this.manifest(digest);
    for (const one of manifest?.blobs ?? []) reached.add(one.digest);
    for (const one of manifest?.children ?? []) await this.#reach(one.digest, reached, depth + 1);
  }

  /**
   * Whether all that a manifest names is here; with `mayLack`, an index may lack manifests of its
   * own, or their blobs, as long as one of them is whole.
   * @throws OrchdError `invalid`
   */
  async #requireParts(
    manifest: Manifest,
    { mayLack }: { mayLack: boolean },
    depth = 0,
    judged = new Map<string, boolean>(),
  ): Promise<boolean> {
    if (depth > DEPTH_MAX) {
      throw new OrchdError("invalid", `indexes are nested deeper than ${DEPTH_MAX} levels`);
    }
    for (const part of manifest.blobs) {
      if (!(await this.#requirePart(part, "blob", mayLack && depth > 0))) return false;
    }
    let whole = 0;
    for (const part of manifest.children) {
      // Each once at its depth: indexes that name the same ones again and again would never end.
      const key = `${depth} ${part.mediaType} ${part.digest} ${part.size}`;
      const isWhole = judged.get(key) ?? (await this.#isChildWhole(part, mayLack, depth, judged));
      judged.set(key, isWhole);
      if (isWhole) whole += 1;
    }
    if (whole > 0 || manifest.children.length === 0) return true;
    throw new OrchdError("invalid", "none of the manifests that the index names is here");
  }

  async #isChildWhole(
    part: Descriptor,
    mayLack: boolean,
    depth: number,
    judged: Map<string, boolean>,
  ): Promise<boolean> {
    if (!(await this.#requirePart(part, "manifest", mayLack))) return false;
    const bytes = await this.blobs.readSmall(part.digest, MANIFEST_BYTES_MAX);
    const parsed = parseManifest(bytes?.toString() ?? "", part.mediaType);
    if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
    return this.#requireParts(parsed.value, { mayLack }, depth + 1, judged);
  }

  async #requirePart(
    { digest, size }: Descriptor,
    what: "blob" | "manifest",
    mayLack: boolean,
  ): Promise<boolean> {
    const found = await this.sizeOf(digest);
    if (found === undefined && mayLack) return false;
    if (found === undefined) {
      throw new OrchdError("invalid", `the ${what} ${digest} of the manifest is not here`);
    }
    if (found === size) return true;
    const message = `the ${what} ${digest} has ${found} bytes, and not ${size} as is said of it`;
    throw new OrchdError("invalid", message);
  }

  #hold(digest: string): void {
    if (this.#held.size >= HELD_MAX) {
      throw new OrchdError("conflict", "too many blobs are under way: try again in an hour");
    }
    this.#held.set(digest, this.#clock.now() + HOLD_MS);
  }
}

/** A tag that goes on leaves its former manifest behind, without a tag unless it has others. */
function withEntry(entries: readonly Entry[], entry: Entry, old: Entry | undefined): Entry[] {
  const isPlaceholder = (one: Entry) =>
    one.repository === entry.repository && one.digest === entry.digest && one.tag === undefined;
  const others = entries.filter((one) => one !== old && !(entry.tag && isPlaceholder(one)));
  if (old === undefined || old.digest === entry.digest) return [...others, entry];
  const { tag: _, ...left } = old;
  const isThere = others.some(
    (one) => one.repository === old.repository && one.digest === old.digest,
  );
  return isThere ? [...others, entry] : [...others, left, entry];
}
