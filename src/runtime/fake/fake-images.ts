import { OrchdError } from "../../lib/errors.ts";
import type { ImageSummary } from "../../model/session.ts";
import type { ImageIdentity } from "../driver.ts";

/** References that begin so are on no node and in no registry. */
const MISSING = "missing";
const TAR_MAGIC_AT = 257;

/** Every image is there, except those whose name begins with `missing` and that were not loaded. */
export class FakeImages {
  readonly #loaded = new Map<string, ImageSummary>();

  has(reference: string): boolean {
    return !reference.startsWith(MISSING) || this.#loaded.has(reference);
  }

  /** A name is its own identity, and no registry has it. */
  identity(reference: string): ImageIdentity | undefined {
    return this.has(reference) ? { id: reference, digests: [] } : undefined;
  }

  pull(reference: string): void {
    if (this.has(reference)) return;
    throw new OrchdError(
      "notFound",
      `image ${reference} is not on this node and could not be fetched: it is missing`,
    );
  }

  /** Takes any tar file for an image and answers one reference made of its size. */
  async load(archive: ReadableStream<Uint8Array>, createdAt: number): Promise<string[]> {
    let sizeBytes = 0;
    let magic = "";
    for await (const chunk of archive) {
      for (let i = 0; i < 5; i++) {
        const byte = chunk[TAR_MAGIC_AT + i - sizeBytes];
        if (byte !== undefined) magic += String.fromCharCode(byte);
      }
      sizeBytes += chunk.byteLength;
    }
    if (magic !== "ustar") {
      throw new OrchdError("invalid", "the file is damaged or is no image archive");
    }
    const reference = `localhost/loaded-${sizeBytes}:latest`;
    this.#loaded.set(reference, { id: reference, references: [reference], sizeBytes, createdAt });
    return [reference];
  }

  list(): ImageSummary[] {
    return [...this.#loaded.values()];
  }
}
