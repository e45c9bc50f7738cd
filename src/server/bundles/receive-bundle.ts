import { createHash } from "node:crypto";
import {
  type BundleEvent,
  type BundleOpening,
  BundleReader,
} from "../../core/archive/bundle-reader.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Draft } from "../../images/blob-store.ts";
import type { ImageStore } from "../../images/image-store.ts";
import {
  BUNDLE_PART_MAX,
  BUNDLE_PARTS_MAX,
  type BundleFile,
  type BundleManifest,
} from "../../model/bundle.ts";

/** A bundle of which every byte was checked; its blobs are on the disk, where nobody sees them. */
export interface ReceivedBundle {
  manifest: BundleManifest;
  /** Stacks and contents, by their paths. */
  parts: ReadonlyMap<string, Uint8Array>;
}

export interface Reception {
  store: ImageStore;
  /** @throws OrchdError when the signature is not one to trust */
  trust: (opening: BundleOpening) => void;
}

/**
 * Takes a bundle as it comes, and believes nothing of it before its signature: what is not trusted
 * is not even written down.
 * @throws OrchdError `forbidden` from `trust`, `damaged`, `invalid`, `noSpace`
 */
export async function receiveBundle(
  reception: Reception,
  source: AsyncIterable<Uint8Array>,
): Promise<ReceivedBundle> {
  const reader = new BundleReader(newHasher);
  const intake = new Intake(reception);
  try {
    let failure: Error | undefined;
    for await (const chunk of source) {
      // Who is still sending hears of a refusal only once everything is sent.
      failure ??= await failureOf(async () => {
        for (const event of reader.push(chunk)) await intake.take(event);
      });
    }
    if (failure !== undefined) throw failure;
    const why = reader.finish();
    if (why !== undefined) throw refusalOf(why);
    return intake.received();
  } finally {
    await intake.close();
  }
}

class Intake {
  readonly #reception: Reception;
  readonly #parts = new Map<string, Uint8Array>();
  #manifest: BundleManifest | undefined;
  #wanted = new Set<string>();
  #draft: Draft | undefined;
  #pieces: Uint8Array[] | undefined;

  constructor(reception: Reception) {
    this.#reception = reception;
  }

  async take(event: BundleEvent): Promise<void> {
    switch (event.type) {
      case "problem":
        throw refusalOf(event.message);
      case "opening":
        return this.#open(event.opening);
      case "file":
        return this.#begin(event.file);
      case "data":
        this.#pieces?.push(event.bytes.slice());
        return this.#draft?.write(event.bytes);
      case "done":
        return this.#complete(event.file);
    }
  }

  received(): ReceivedBundle {
    if (this.#manifest === undefined) throw refusalOf("the bundle is cut off: it has no end");
    return { manifest: this.#manifest, parts: this.#parts };
  }

  async close(): Promise<void> {
    await this.#draft?.discard();
  }

  async #open(opening: BundleOpening): Promise<void> {
    const { store, trust } = this.#reception;
    trust(opening);
    const { manifest } = opening;
    const { stacks, items, files, assumes } = manifest;
    this.#manifest = manifest;
    this.#wanted = new Set([...stacks, ...items].flatMap(({ path }) => path ?? []));
    const parts = files.filter(({ path }) => this.#wanted.has(path));
    const bytes = parts.reduce((sum, { size }) => sum + size, 0);
    if (bytes > BUNDLE_PARTS_MAX || parts.some(({ size }) => size > BUNDLE_PART_MAX)) {
      throw new OrchdError("tooLarge", "the bundle's stacks and contents are larger than any are");
    }
    for (const digest of assumes) {
      if ((await store.sizeOf(digest)) !== undefined) continue;
      const message =
        "the bundle leaves out what this site was said to have and does not: " +
        "make it again without --have";
      throw new OrchdError("conflict", message);
    }
    let missing = 0;
    for (const file of files) if (await this.#isMissing(file)) missing += file.size;
    await store.blobs.requireRoom(missing);
  }

  async #begin(file: BundleFile): Promise<void> {
    this.#pieces = this.#wanted.has(file.path) ? [] : undefined;
    const isMissing = await this.#isMissing(file);
    this.#draft = isMissing ? await this.#reception.store.blobs.draft() : undefined;
  }

  async #complete({ path, sha256 }: BundleFile): Promise<void> {
    if (this.#pieces !== undefined) {
      this.#parts.set(path, new Uint8Array(Buffer.concat(this.#pieces)));
      this.#pieces = undefined;
    }
    const draft = this.#draft;
    this.#draft = undefined;
    if (draft !== undefined) await this.#reception.store.commit(draft, `sha256:${sha256}`);
  }

  /** Blobs alone go to the disk, and those alone that are not there. */
  async #isMissing({ path, sha256 }: BundleFile): Promise<boolean> {
    if (!path.startsWith("blobs/")) return false;
    return (await this.#reception.store.sizeOf(`sha256:${sha256}`)) === undefined;
  }
}

function newHasher() {
  const hash = createHash("sha256");
  return {
    update: (bytes: Uint8Array) => void hash.update(bytes),
    digest: () => hash.digest("hex"),
  };
}

function refusalOf(problem: string): OrchdError {
  const isForeign = /^this is no|newer orchd/.test(problem);
  return new OrchdError(isForeign ? "invalid" : "damaged", `nothing is changed: ${problem}`);
}

async function failureOf(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
