import { type BundleOpening, BundleReader } from "../../core/archive/bundle-reader.ts";
import { OrchdError } from "../../lib/errors.ts";
import { signerOf } from "../../pki/release-key.ts";
import type { ArchiveCheck } from "../archives/save-archive.ts";

/** A bundle of which every byte was held against what was signed. */
export interface CheckedBundle extends Pick<BundleOpening, "manifest"> {
  /** What the key is called that it is signed with. Who that is it does not say. */
  signedBy: string;
  /** Of the whole file. */
  bytes: number;
}

/** Checks a bundle as it passes by. */
export class BundleCheck implements ArchiveCheck<CheckedBundle> {
  readonly #reader = new BundleReader(newHasher);
  #opening: BundleOpening | undefined;
  #problem: string | undefined;
  #bytes = 0;

  push(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    for (const event of this.#reader.push(bytes)) {
      if (event.type === "problem") this.#problem ??= event.message;
      if (event.type === "opening") this.#opening = event.opening;
    }
  }

  finish(): CheckedBundle | undefined {
    const signedBy = this.#signedBy();
    const manifest = this.#opening?.manifest;
    if (this.problem !== undefined || signedBy === undefined || manifest === undefined) return;
    return { manifest, signedBy, bytes: this.#bytes };
  }

  /** What is wrong with it, once all of it has passed. */
  get problem(): string | undefined {
    const problem = this.#problem ?? this.#reader.finish();
    if (problem !== undefined || this.#signedBy() !== undefined) return problem;
    return "the bundle was altered, its signature does not fit";
  }

  #signedBy(): string | undefined {
    return this.#opening && signerOf(this.#opening.signature, this.#opening.text);
  }
}

/** @throws OrchdError `damaged` when a byte of it is other than what was signed */
export async function checkBundle(
  pieces: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => Promise<void>,
): Promise<CheckedBundle> {
  const check = new BundleCheck();
  for await (const piece of pieces) {
    check.push(piece);
    await onBytes(piece.length);
  }
  const found = check.finish();
  if (found !== undefined) return found;
  throw new OrchdError("damaged", check.problem ?? "the bundle is damaged: copy it again");
}

function newHasher() {
  const hasher = new Bun.CryptoHasher("sha256");
  return {
    update: (bytes: Uint8Array) => void hasher.update(bytes),
    digest: () => hasher.digest("hex"),
  };
}
