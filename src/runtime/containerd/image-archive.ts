import { messageOf, OrchdError } from "../../lib/errors.ts";
import { type ContentStore, digestOf, DOCUMENT_BYTES_MAX } from "./content.ts";
import {
  type Descriptor,
  indexSchema,
  manifestSchema,
  MEDIA,
  parseDocument,
  savedSchema,
} from "./image-documents.ts";
import { keptNameOf } from "./image-names.ts";
import { damaged, tarFiles } from "./tar-files.ts";

/** Small files are kept until it is known which of them are needed; more than so much are not. */
const SMALL_BYTES_MAX = 1024 * 1024;
const KEPT_BYTES_MAX = 64 * 1024 * 1024;

/** An image of an archive whose content is in the store. */
export interface ImportedImage {
  names: string[];
  config: Uint8Array;
  layers: Descriptor[];
}

type Member = { digest: string; size: number; bytes?: Uint8Array; magic: Uint8Array };

/**
 * Takes what `docker save`, `podman save` and tools of the OCI write into the content store.
 * @throws OrchdError `invalid` for what is no such archive
 */
export async function importArchive(
  archive: AsyncIterable<Uint8Array>,
  store: ContentStore,
  lease: string,
): Promise<ImportedImage[]> {
  try {
    const members = await readMembers(archive, store, lease);
    const saved = parseDocument(savedSchema, members.document("manifest.json"));
    return saved === undefined ? await ofLayout(members) : await ofSaved(members, saved);
  } catch (error) {
    if (error instanceof OrchdError) throw error;
    throw damaged(new Error(messageOf(error)));
  }
}

class Members {
  readonly #store: ContentStore;
  readonly #lease: string;
  readonly #files = new Map<string, Member>();
  readonly #links = new Map<string, string>();

  constructor(store: ContentStore, lease: string) {
    this.#store = store;
    this.#lease = lease;
  }

  add(name: string, member: Member): void {
    this.#files.set(name, member);
  }

  /** A link leads from its own directory, or from the top. */
  addLink(name: string, link: string): void {
    this.#links.set(name, link);
  }

  find(name: string): Member {
    const found = this.#files.get(name) ?? this.#files.get(this.#target(name));
    if (found === undefined) throw damaged(new Error(`it has no ${name}`));
    return found;
  }

  /** A small file; empty where there is none. */
  document(name: string): Uint8Array {
    return this.#files.get(name)?.bytes ?? new Uint8Array();
  }

  /** What a digest means, in the layout of the OCI. */
  blob(digest: string): Uint8Array {
    return this.document(`blobs/${digest.replace(":", "/")}`);
  }

  /** A layer, in the store. */
  async layer(name: string): Promise<Descriptor> {
    const { bytes, digest, size, magic } = this.find(name);
    const lease = this.#lease;
    if (bytes !== undefined) await this.#store.writeBytes(bytes, { lease });
    return { mediaType: mediaTypeOf(magic), digest, size };
  }

  #target(name: string): string {
    const link = this.#links.get(name) ?? "";
    const parts = `${name.split("/").slice(0, -1).join("/")}/${link}`.split("/");
    const path: string[] = [];
    for (const part of parts) {
      if (part === "..") path.pop();
      else if (part !== "" && part !== ".") path.push(part);
    }
    const relative = path.join("/");
    return this.#files.has(relative) ? relative : link;
  }
}

async function readMembers(
  archive: AsyncIterable<Uint8Array>,
  store: ContentStore,
  lease: string,
): Promise<Members> {
  const members = new Members(store, lease);
  let kept = 0;
  for await (const { name, size, link, content } of tarFiles(archive)) {
    if (link !== undefined) {
      members.addLink(name, link);
    } else if (size <= SMALL_BYTES_MAX && kept + size <= KEPT_BYTES_MAX) {
      const bytes = await gather(content);
      kept += bytes.length;
      members.add(name, { digest: digestOf(bytes), size, bytes, magic: bytes.subarray(0, 4) });
    } else {
      const seen = { magic: new Uint8Array() };
      const written = await store.write(watched(content, seen), { lease });
      members.add(name, { ...written, magic: seen.magic });
    }
  }
  return members;
}

async function ofSaved(
  members: Members,
  saved: NonNullable<ReturnType<(typeof savedSchema)["parse"]>>,
): Promise<ImportedImage[]> {
  const images: ImportedImage[] = [];
  for (const { Config, RepoTags, Layers } of saved) {
    const config = members.find(Config).bytes;
    if (config === undefined) throw damaged();
    const layers: Descriptor[] = [];
    for (const name of Layers ?? []) layers.push(await members.layer(name));
    images.push({ names: (RepoTags ?? []).map(keptNameOf), config, layers });
  }
  return images;
}

async function ofLayout(members: Members): Promise<ImportedImage[]> {
  const index = parseDocument(indexSchema, members.document("index.json"));
  if (index === undefined) throw damaged();
  const images: ImportedImage[] = [];
  for (const listed of index.manifests) {
    const target = isIndex(listed) ? ownOf(members, listed) : listed;
    const manifest = parseDocument(manifestSchema, members.blob(target?.digest ?? ""));
    if (manifest === undefined) throw damaged();
    const layers: Descriptor[] = [];
    for (const { digest } of manifest.layers) {
      layers.push(await members.layer(`blobs/${digest.replace(":", "/")}`));
    }
    const { annotations } = listed;
    const name =
      annotations?.["io.containerd.image.name"] ??
      annotations?.["org.opencontainers.image.ref.name"];
    const config = members.blob(manifest.config.digest);
    images.push({ names: name === undefined ? [] : [nameInLayout(name)], config, layers });
  }
  return images;
}

/** Of an index in an index: what is for this machine, or else its first. */
function ownOf(members: Members, listed: Descriptor): Descriptor | undefined {
  const index = parseDocument(indexSchema, members.blob(listed.digest));
  const own = index?.manifests.find((manifest) => isFor(manifest, ownPlatform()));
  return own ?? index?.manifests[0];
}

export function isIndex({ mediaType }: { mediaType: string }): boolean {
  return mediaType === MEDIA.index || mediaType === MEDIA.dockerList;
}

/** Whether a manifest of an index is for `os/architecture[/variant]`. */
export function isFor({ platform }: Descriptor, wanted: string): boolean {
  const [os, architecture, variant] = wanted.split("/");
  if (platform?.os !== os || platform?.architecture !== architecture) return false;
  return variant === undefined || platform?.variant === variant;
}

/** `linux/amd64`: what this machine runs, in the words of images. */
export function ownPlatform(): string {
  const names: Record<string, string> = { x64: "amd64", ia32: "386", ppc64: "ppc64le" };
  return `linux/${names[process.arch] ?? process.arch}`;
}

/** A bare tag has no repository: Podman puts such an image below localhost/. */
function nameInLayout(name: string): string {
  return /[/:]/.test(name) ? keptNameOf(name) : `localhost/${name}:latest`;
}

function mediaTypeOf(magic: Uint8Array): string {
  if (magic[0] === 0x1f && magic[1] === 0x8b) return MEDIA.layerGzip;
  const isZstd = magic[0] === 0x28 && magic[1] === 0xb5 && magic[2] === 0x2f;
  return isZstd ? MEDIA.layerZstd : MEDIA.layer;
}

async function gather(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of content) parts.push(part.slice());
  const whole = Buffer.concat(parts);
  if (whole.length > DOCUMENT_BYTES_MAX) throw damaged();
  return whole;
}

async function* watched(
  content: AsyncIterable<Uint8Array>,
  seen: { magic: Uint8Array },
): AsyncGenerator<Uint8Array> {
  for await (const part of content) {
    if (seen.magic.length < 4) seen.magic = Buffer.concat([seen.magic, part.slice(0, 4)]);
    yield part;
  }
}
