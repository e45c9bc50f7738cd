import { OrchdError } from "../../lib/errors.ts";
import type { ImageSummary } from "../../model/session.ts";
import type { ImageIdentity } from "../driver.ts";

/** References that begin so are on no node and in no registry. */
const MISSING = "missing";

/** Every image is there, except those whose name begins with `missing` and that were not taken. */
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

  /** Nothing of it is fetched. */
  take(reference: string, createdAt: number): void {
    const image = { id: reference, references: [reference], sizeBytes: 1, createdAt };
    this.#loaded.set(reference, image);
  }

  list(): ImageSummary[] {
    return [...this.#loaded.values()];
  }
}
