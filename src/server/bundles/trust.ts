import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleOpening } from "../../core/archive/bundle-reader.ts";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { nameOfKey, signerOf } from "../../pki/release-key.ts";

const KEYS_MAX = 64;

/** Whose bundles are taken: PEM of public keys. */
export interface Trust {
  /** The cluster's own. */
  own: string;
  /** Named by whoever applies the bundle. */
  named?: string | undefined;
  /** Where files with keys lie that are trusted for good: `*.pem`. */
  directory: string;
}

/**
 * Whether the bundle is of somebody who is trusted, and unaltered.
 * @throws OrchdError `forbidden`, or `invalid` when a key makes no sense
 */
export function requireTrust({ own, named, directory }: Trust, opening: BundleOpening): void {
  const { signature, text } = opening;
  const trusted = new Set([own, ...(named === undefined ? [] : [named])].map(nameOfKey));
  for (const pem of keysIn(directory)) trusted.add(nameOfKey(pem));
  const name = signerOf(signature, text);
  if (name === undefined) {
    const message = "nothing is changed: the bundle was altered, its signature does not fit";
    throw new OrchdError("damaged", message);
  }
  if (trusted.has(name)) return;
  const message =
    `nothing is changed: the bundle is signed with the key ${name}, which is not trusted ` +
    "here: name its public key with --trust FILE if you know whose it is";
  throw new OrchdError("forbidden", message);
}

function keysIn(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith(".pem"));
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return [];
    throw new OrchdError("internal", `the keys in ${directory} can't be read`, { cause: error });
  }
  return names.slice(0, KEYS_MAX).map((name) => readFileSync(join(directory, name), "utf8"));
}
