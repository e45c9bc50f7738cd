import { type Gunzip, createGunzip } from "node:zlib";
import { Readable } from "node:stream";
import { type MemberEvent, MemberReader } from "../core/archive/member-reader.ts";
import { OrchdError } from "../lib/errors.ts";
import { ArchiveFiles, refused } from "./archive-files.ts";
import type { Draft } from "./blob-store.ts";
import type { ImageStore } from "./image-store.ts";
import { addDockerImages } from "./load-docker.ts";
import { addLayoutImages } from "./load-layout.ts";

const MEMBERS_MAX = 20_000;
const ARCHIVE_BYTES_MAX = 256 * 1024 ** 3;
/** What a compressed archive may hold for each of its bytes: an image's layers hold far less. */
const EXPANSION_MAX = 200;
/** A small file of nothing but zeros is no bomb. */
const EXPANSION_FREE_BYTES = 64 * 1024 * 1024;

/**
 * Takes the images of an archive as it comes: a docker-archive, an OCI image layout, or both, also
 * compressed by gzip. All of it is on the disk before any of its images can be seen.
 * @returns the references of its images, in full
 * @throws OrchdError `invalid` with what is wrong with the archive, `noSpace`
 */
export async function loadArchive(
  store: ImageStore,
  archive: AsyncIterable<Uint8Array>,
): Promise<string[]> {
  const files = new ArchiveFiles(store);
  await unpack(store, await expanded(archive), files);
  const layout = await files.text("index.json");
  const references = layout === undefined ? [] : await addLayoutImages(store, files, layout);
  const list = references.length > 0 ? undefined : await files.text("manifest.json");
  if (list !== undefined) return addDockerImages(store, files, list);
  if (references.length > 0) return references;
  if (layout !== undefined) {
    throw refused("its images have no names: save them with one, as podman save NAME does");
  }
  throw refused("it holds no image; make one with: podman save -o FILE IMAGE");
}

/** Each file becomes a blob while it comes by. */
async function unpack(
  store: ImageStore,
  archive: AsyncIterable<Uint8Array>,
  files: ArchiveFiles,
): Promise<void> {
  const reader = new MemberReader({ membersMax: MEMBERS_MAX, bytesMax: ARCHIVE_BYTES_MAX });
  const intake = new Intake(store, files);
  try {
    for await (const chunk of archive) {
      for (const event of reader.push(chunk)) await intake.take(event);
    }
    const why = reader.finish();
    if (why !== undefined) throw new OrchdError("invalid", why);
  } catch (error) {
    if (!(error instanceof OrchdError) || error.code !== "damaged") throw error;
    throw refused("a blob in it is not what its name says", error);
  } finally {
    await intake.close();
  }
}

/** The file of an archive that is coming by. */
class Intake {
  readonly #store: ImageStore;
  readonly #files: ArchiveFiles;
  #file: { path: string; draft: Draft; isGzip: boolean | undefined } | undefined;

  constructor(store: ImageStore, files: ArchiveFiles) {
    this.#store = store;
    this.#files = files;
  }

  async take(event: MemberEvent): Promise<void> {
    switch (event.type) {
      case "problem":
        throw new OrchdError("invalid", event.message);
      case "member":
        if (event.member.kind === "link") this.#files.link(event.member);
        if (event.member.kind !== "file") return;
        const draft = await this.#store.blobs.draft();
        this.#file = { path: event.member.path, draft, isGzip: undefined };
        return;
      case "data":
        if (this.#file === undefined) return;
        this.#file.isGzip ??= event.bytes[0] === 0x1f && event.bytes[1] === 0x8b;
        return this.#file.draft.write(event.bytes);
      case "done":
        return this.#complete();
    }
  }

  async close(): Promise<void> {
    await this.#file?.draft.discard();
  }

  async #complete(): Promise<void> {
    if (this.#file === undefined) return;
    const { path, draft, isGzip = false } = this.#file;
    const { digest, size } = await this.#store.commit(draft, digestInPath(path));
    this.#files.add(path, { digest, size, isGzip });
    this.#file = undefined;
  }
}

/** What the path of a blob in an OCI layout says of its content. */
function digestInPath(path: string): string | undefined {
  const [, hex] = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path) ?? [];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

/** The archive itself, where it came compressed. */
async function expanded(archive: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const pieces = archive[Symbol.asyncIterator]();
  const first = await pieces.next();
  const head = first.done === true ? new Uint8Array() : first.value;
  const whole = withHead(head, pieces);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return whole;
  return gunzipped(whole);
}

async function* withHead(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield head;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
      yield next.value;
    }
  } finally {
    await rest.return?.();
  }
}

async function* gunzipped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip: Gunzip = createGunzip();
  const counted = { in: 0, out: 0 };
  const input = async function* () {
    for await (const bytes of source) {
      counted.in += bytes.length;
      yield bytes;
    }
  };
  const reading = Readable.from(input(), { objectMode: false });
  reading.on("error", (error) => gunzip.destroy(error));
  try {
    for await (const bytes of reading.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      counted.out += bytes.length;
      if (counted.out > EXPANSION_FREE_BYTES && counted.out > counted.in * EXPANSION_MAX) {
        throw refused("it is far larger than any image when it is unpacked");
      }
      yield bytes;
    }
  } catch (error) {
    if (error instanceof OrchdError) throw error;
    throw refused("its compression is damaged, or it is cut off", error);
  } finally {
    reading.destroy();
    gunzip.destroy();
  }
}
