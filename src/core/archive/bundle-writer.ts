import {
  BUNDLE_NAME,
  type BundleFile,
  type BundleSignature,
  SIGNATURE_NAME,
} from "../../model/bundle.ts";
import { BLOCK_BYTES, paddingOf } from "./block.ts";
import { joined } from "./bytes.ts";
import { headOfFile } from "./plain-file.ts";

const encoder = new TextEncoder();

/** The beginning of a bundle: what it says of itself, and the signature of that. */
export function encodeOpening(text: Uint8Array, signature: BundleSignature): Uint8Array {
  return joined([
    encodeSmallFile(BUNDLE_NAME, text),
    encodeSmallFile(SIGNATURE_NAME, encoder.encode(JSON.stringify(signature))),
  ]);
}

/** What stands around the content of a file: a head before it, zeros behind it. */
export function framesOf({ path, size }: BundleFile): { head: Uint8Array; tail: Uint8Array } {
  return { head: headOfFile(path, size), tail: new Uint8Array(paddingOf(size)) };
}

export function encodeBundleEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK_BYTES);
}

function encodeSmallFile(name: string, content: Uint8Array): Uint8Array {
  return joined([
    headOfFile(name, content.length),
    content,
    new Uint8Array(paddingOf(content.length)),
  ]);
}
