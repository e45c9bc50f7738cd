import { openSync, closeSync, readSync, fstatSync } from "node:fs";
import { encodeBundleEnd, encodeOpening, framesOf } from "../../core/archive/bundle-writer.ts";
import { MarkReader } from "../../core/upgrade/build-mark.ts";
import { OrchdError } from "../../lib/errors.ts";
import {
  blobPathOf,
  type BundleExecutable,
  type BundleFile,
  type BundleParts,
  type BundleSignature,
  EXECUTABLE_BYTES_MAX,
  EXECUTABLE_PLATFORMS,
} from "../../model/bundle.ts";
import { pathFrom } from "../context.ts";
import type { Io } from "../io.ts";

/** A file of a bundle that is to be written, and where its bytes come from. */
export interface BundleSource {
  file: BundleFile;
  read: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const encoder = new TextEncoder();
const PIECE_BYTES = 256 * 1024;

export function sourceOfBytes(path: string, bytes: Uint8Array): BundleSource {
  const sha256 = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  return { file: { path, size: bytes.length, sha256 }, read: () => [bytes] };
}

export function sourceOfJson(path: string, value: unknown): BundleSource {
  return sourceOfBytes(path, encoder.encode(JSON.stringify(value)));
}

/** A blob of images, whose name is its digest. */
export function sourceOfBlob(
  { digest, size }: { digest: string; size: number },
  read: () => AsyncIterable<Uint8Array>,
): BundleSource {
  const sha256 = digest.slice("sha256:".length);
  return { file: { path: blobPathOf(digest), size, sha256 }, read };
}

/**
 * An executable of orchd, read once to know what it is.
 * @throws OrchdError `invalid` when it is none, `tooLarge`
 */
export function sourceOfExecutable(
  io: Io,
  name: string,
): { source: BundleSource; executable: BundleExecutable } {
  const reader = new MarkReader();
  const hasher = new Bun.CryptoHasher("sha256");
  let size = 0;
  for (const piece of readPieces(io, name)) {
    size += piece.length;
    if (size > EXECUTABLE_BYTES_MAX) throw new OrchdError("tooLarge", `${name} is far too large`);
    reader.push(piece);
    hasher.update(piece);
  }
  const mark = reader.finish();
  if (!mark.ok) throw new OrchdError("invalid", `${name} is refused: ${mark.problem}`);
  const { version } = mark.value;
  const platform = EXECUTABLE_PLATFORMS.find((one) => one === mark.value.platform);
  if (platform === undefined) throw new OrchdError("invalid", `${name} is for no known machine`);
  const sha256 = hasher.digest("hex");
  const path = blobPathOf(`sha256:${sha256}`);
  const source = { file: { path, size, sha256 }, read: () => readPieces(io, name) };
  return { source, executable: { path, platform, version } };
}

/** The whole file, in order. What a source gives too much or too little of, its reader tells. */
export async function* bundlePieces(
  text: Uint8Array,
  signature: BundleSignature,
  sources: readonly BundleSource[],
): AsyncGenerator<Uint8Array> {
  yield encodeOpening(text, signature);
  for (const { file, read } of sources) {
    const { head, tail } = framesOf(file);
    yield head;
    yield* read();
    if (tail.length > 0) yield tail;
  }
  yield encodeBundleEnd();
}

/** An image layout as other programs read it: `podman load -i FILE`. */
export function layoutSources({
  images,
  docker,
}: Pick<BundleParts, "images" | "docker">): BundleSource[] {
  const manifests = images.map(({ reference, mediaType, digest, size }) => {
    const annotations = {
      "io.containerd.image.name": reference,
      "org.opencontainers.image.ref.name": reference,
    };
    return { mediaType, digest, size, annotations };
  });
  return [
    sourceOfJson("oci-layout", { imageLayoutVersion: "1.0.0" }),
    sourceOfJson("index.json", { schemaVersion: 2, manifests }),
    ...(docker.length === 0 ? [] : [sourceOfJson("manifest.json", docker)]),
  ];
}

function* readPieces(io: Io, name: string): Generator<Uint8Array> {
  let descriptor: number;
  try {
    descriptor = openSync(pathFrom(io, name), "r");
  } catch (cause) {
    throw new OrchdError("invalid", `can't read ${name}: there is no such file`, { cause });
  }
  try {
    if (!fstatSync(descriptor).isFile()) throw new OrchdError("invalid", `${name} is no file`);
    for (;;) {
      const piece = new Uint8Array(PIECE_BYTES);
      const count = readSync(descriptor, piece, 0, piece.length, null);
      if (count === 0) return;
      yield piece.subarray(0, count);
    }
  } finally {
    closeSync(descriptor);
  }
}
