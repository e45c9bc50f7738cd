import { jsonDepthOf } from "../../lib/json-depth.ts";
import {
  BUNDLE_NAME,
  BUNDLE_TEXT_MAX,
  type BundleFile,
  type BundleManifest,
  bundleManifestSchema,
  type BundleSignature,
  bundleSignatureSchema,
  SIGNATURE_NAME,
  SIGNATURE_TEXT_MAX,
} from "../../model/bundle.ts";
import type { Hasher } from "./archive-reader.ts";
import { BLOCK_BYTES, decodeBlock, isZero, paddingOf } from "./block.ts";
import { joined } from "./bytes.ts";
import { headOfFile } from "./plain-file.ts";

/** Two blocks of zeros, as every tar archive ends. */
const END_BYTES = 2 * BLOCK_BYTES;
const JSON_DEPTH_MAX = 64;

export interface BundleOpening {
  manifest: BundleManifest;
  /** What is signed. */
  text: Uint8Array;
  signature: BundleSignature;
}

export type BundleEvent =
  /** What it says of itself. Whoever does not trust the signature reads no further. */
  | { type: "opening"; opening: BundleOpening }
  | { type: "file"; file: BundleFile }
  /** A piece of the content of the file that came last. */
  | { type: "data"; bytes: Uint8Array }
  /** The content of the file that came last is what was signed. */
  | { type: "done"; file: BundleFile }
  /** Why it is refused, in a sentence without its full stop. Nothing comes after it. */
  | { type: "problem"; message: string };

type Events = Generator<BundleEvent, void, void>;
type Waiting = "head" | "content" | "padding" | "end" | "nothing";

const CUT = "the bundle is cut off: it has no end";
const DAMAGED = "the bundle is damaged: copy it again";
const NONE = "this is no bundle of orchd";

/**
 * Reads a bundle piece by piece. What it says of itself comes first, with the signature of that;
 * from there on each byte of the archive is known beforehand, or its digest is, and any other one
 * is refused: there is nothing to interpret, no name to follow and nothing to unpack.
 */
export class BundleReader {
  readonly #newHasher: () => Hasher;
  readonly #gathered: Uint8Array[] = [];
  #waiting: Waiting = "head";
  #missing = BLOCK_BYTES;
  /** Files that are still to come; of the first two the size is not known. */
  #coming: BundleFile[] | undefined;
  #file: BundleFile | undefined;
  #hasher: Hasher | undefined;
  #text: Uint8Array | undefined;

  /** @param newHasher SHA-256 */
  constructor(newHasher: () => Hasher) {
    this.#newHasher = newHasher;
  }

  /** What the next bytes tell. Data events are parts of `chunk`. */
  *push(chunk: Uint8Array): Events {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#waiting === "nothing") return yield this.#fail(DAMAGED);
      const piece = rest.subarray(0, this.#missing);
      rest = rest.subarray(piece.length);
      this.#missing -= piece.length;
      if (this.#waiting === "content" && this.#hasher !== undefined) {
        this.#hasher.update(piece);
        yield { type: "data", bytes: piece };
      } else this.#gathered.push(piece);
      if (this.#missing > 0) continue;
      for (const event of this.#complete()) {
        yield event;
        if (event.type === "problem") return;
      }
    }
    // The pieces that wait for more belong to the caller's buffer.
    this.#gathered.splice(0, this.#gathered.length, ...this.#gathered.map((p) => p.slice()));
  }

  /** To be asked when nothing more comes: what is wrong with the end, if anything. */
  finish(): string | undefined {
    if (this.#waiting === "nothing") return undefined;
    const isEmpty = this.#coming === undefined && this.#text === undefined;
    return isEmpty && this.#waiting === "head" ? NONE : CUT;
  }

  *#complete(): Events {
    const bytes = joined(this.#gathered);
    this.#gathered.length = 0;
    switch (this.#waiting) {
      case "head":
        return yield* this.#onHead(bytes);
      case "content":
        return yield* this.#onContent(bytes);
      case "padding":
      case "end":
        if (!isZero(bytes)) return yield this.#fail(DAMAGED);
        if (this.#waiting === "end") this.#waiting = "nothing";
        else this.#next();
        return;
      case "nothing":
        return;
    }
  }

  *#onHead(bytes: Uint8Array): Events {
    const file = this.#coming === undefined ? this.#smallFile(bytes) : this.#file;
    if (file === undefined) return yield this.#fail(NONE);
    if (!sameBytes(bytes, headOfFile(file.path, file.size))) return yield this.#fail(DAMAGED);
    this.#file = file;
    this.#waiting = "content";
    this.#missing = file.size;
    if (this.#coming === undefined) return;
    this.#hasher = this.#newHasher();
    yield { type: "file", file };
    if (file.size === 0) yield* this.#onContent(new Uint8Array());
  }

  /** Of the two files in front the head says how long they are. */
  #smallFile(bytes: Uint8Array): BundleFile | undefined {
    const [path, max] =
      this.#text === undefined
        ? [BUNDLE_NAME, BUNDLE_TEXT_MAX]
        : [SIGNATURE_NAME, SIGNATURE_TEXT_MAX];
    const { name, size = 0 } = decodeBlock(bytes.slice()) ?? {};
    return name === path && size > 0 && size <= max ? { path, size, sha256: "" } : undefined;
  }

  *#onContent(bytes: Uint8Array): Events {
    const file = this.#file;
    if (file === undefined) return;
    if (this.#hasher !== undefined) {
      const digest = this.#hasher.digest();
      this.#hasher = undefined;
      if (digest !== file.sha256) return yield this.#fail(DAMAGED);
      yield { type: "done", file };
    } else if (this.#text === undefined) {
      this.#text = bytes;
    } else {
      const opening = openingOf(this.#text, bytes);
      if (typeof opening === "string") return yield this.#fail(opening);
      this.#coming = [...opening.manifest.files];
      yield { type: "opening", opening };
    }
    const padding = paddingOf(file.size);
    this.#waiting = "padding";
    this.#missing = padding;
    if (padding === 0) this.#next();
  }

  /** Waits for the head of the next file, or for the end. */
  #next(): void {
    this.#file = this.#coming?.shift();
    const isEnd = this.#coming !== undefined && this.#file === undefined;
    this.#waiting = isEnd ? "end" : "head";
    const head = this.#file && headOfFile(this.#file.path, this.#file.size).length;
    this.#missing = isEnd ? END_BYTES : (head ?? BLOCK_BYTES);
  }

  #fail(message: string): Extract<BundleEvent, { type: "problem" }> {
    this.#waiting = "nothing";
    return { type: "problem", message };
  }
}

/** The opening, or why it is none. */
function openingOf(text: Uint8Array, signatureText: Uint8Array): BundleOpening | string {
  const signature = bundleSignatureSchema.safeParse(jsonIn(signatureText));
  // It is written in one way, so that no byte of it can be another one.
  const written = JSON.stringify(signature.data);
  if (!signature.success || written !== new TextDecoder().decode(signatureText)) return DAMAGED;
  const value = jsonIn(text);
  const format =
    typeof value === "object" && value !== null && "format" in value ? value.format : 0;
  if (typeof format === "number" && format > 1) {
    return "the bundle was made by a newer orchd: apply it with that version";
  }
  const manifest = bundleManifestSchema.safeParse(value);
  if (!manifest.success) return DAMAGED;
  const why = whyInconsistent(manifest.data);
  return why ?? { manifest: manifest.data, text, signature: signature.data };
}

/** Each file once, and everything that is named is there. */
function whyInconsistent({
  files,
  images,
  stacks,
  items,
  executables,
  assumes,
}: BundleManifest): string | undefined {
  const paths = new Map(files.map((file) => [file.path, file]));
  if (paths.size !== files.length) return "the bundle is refused: it holds a file twice";
  const named = [...stacks, ...items, ...executables].flatMap(({ path }) => path ?? []);
  const lacking = named.find((path) => !paths.has(path));
  if (lacking !== undefined) return `the bundle is refused: ${lacking} is missing in it`;
  const blobs = new Set(assumes);
  for (const { path, sha256 } of files) {
    if (!path.startsWith("blobs/")) continue;
    if (path !== `blobs/sha256/${sha256}`) return `the bundle is refused: ${path} is no blob`;
    blobs.add(`sha256:${sha256}`);
  }
  const odd = executables.find(({ path }) => !path.startsWith("blobs/sha256/"));
  if (odd !== undefined) return `the bundle is refused: ${odd.path} is no blob`;
  const image = images.find(({ digest }) => !blobs.has(digest));
  return image && `the bundle is refused: the image ${image.reference} is missing in it`;
}

function jsonIn(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return jsonDepthOf(text) > JSON_DEPTH_MAX ? undefined : (JSON.parse(text) as unknown);
  } catch {
    // Whoever asked says that it makes no sense.
    return undefined;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
