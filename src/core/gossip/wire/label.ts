import { TYPE } from "./message-type.ts";

export const LABEL_BYTES_MAX = 255;

/** What stands before everything of a labelled cluster; nothing for an empty label. */
export function labelHeader(label: string): Uint8Array {
  if (label === "") return new Uint8Array();
  const text = labelBytes(label);
  return Uint8Array.from([TYPE.label, text.length, ...text]);
}

/** Label as additional data of the encryption. */
export function labelBytes(label: string): Uint8Array {
  return new TextEncoder().encode(label);
}

/**
 * How long the header at the beginning of `bytes` is, when it is the one of `label`.
 * @returns `truncated` when it may yet become it
 */
export function acceptLabel(bytes: Uint8Array, label: string): number | "badLabel" | "truncated" {
  const expected = labelHeader(label);
  if (expected.length === 0) return bytes[0] === TYPE.label ? "badLabel" : 0;
  const common = bytes.subarray(0, expected.length);
  if (!common.every((byte, at) => byte === expected[at])) return "badLabel";
  return common.length < expected.length ? "truncated" : expected.length;
}
