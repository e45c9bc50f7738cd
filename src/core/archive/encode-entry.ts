import { BLOCK_BYTES, encodeBlock, ID_MAX, paddingOf, SIZE_MAX } from "./block.ts";
import { byteStringOf, joined } from "./bytes.ts";
import type { ArchiveEntry, EntryKind } from "./entry.ts";
import { encodePax } from "./pax.ts";

export const TYPES: Readonly<Record<EntryKind, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  directory: "5",
  fifo: "6",
};
export const PAX_TYPE = "x";
export const GLOBAL_TYPE = "g";
/** As GNU tar and others name an attribute. */
export const ATTRIBUTE_PREFIX = "SCHILY.xattr.";
/** A comment, which every reader may leave out: ours says that holes are to be holes again. */
export const SPARSE_COMMENT = "sparse";
const NAME_BYTES = 100;
const SECOND_US = 1_000_000;

/** What stands in an archive before an entry's content. */
export function encodeEntry(entry: ArchiveEntry): Uint8Array {
  const name = nameOf(entry);
  const records = recordsOf(entry, name);
  const { kind, mode, uid, gid, size, mtimeUs, target } = entry;
  const mtimeSeconds = Math.floor(mtimeUs / SECOND_US);
  const block = encodeBlock({
    type: TYPES[kind],
    name,
    mode,
    uid: Math.min(uid, ID_MAX),
    gid: Math.min(gid, ID_MAX),
    size: Math.min(size, SIZE_MAX),
    mtimeSeconds: Math.min(Math.max(0, mtimeSeconds), SIZE_MAX),
    link: target,
  });
  if (records.size === 0) return block;
  return joined([encodePaxBlock(PAX_TYPE, "PaxHeader", records), block]);
}

/** A pax header for the entry that follows, or for the whole archive. */
export function encodePaxBlock(
  type: string,
  name: string,
  records: ReadonlyMap<string, string>,
): Uint8Array {
  const body = encodePax(records);
  const plain = { mode: 0o600, uid: 0, gid: 0, mtimeSeconds: 0, link: "" };
  const block = encodeBlock({ type, name, size: body.length, ...plain });
  return joined([block, body, new Uint8Array(paddingOf(body.length))]);
}

/** How many bytes an entry takes in an archive, with its content. */
export function bytesOfEntry(entry: ArchiveEntry): number {
  return encodeEntry(entry).length + entry.size + paddingOf(entry.size);
}

/** The end of every tar archive. */
export function encodeEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK_BYTES);
}

function nameOf({ kind, path }: ArchiveEntry): string {
  if (kind !== "directory") return path;
  return path === "" ? "./" : `${path}/`;
}

/** What does not fit the block, or has no place in it. */
function recordsOf(entry: ArchiveEntry, name: string): Map<string, string> {
  const { uid, gid, size, mtimeUs, target, isSparse, attributes } = entry;
  const records = new Map<string, string>();
  if (name.length > NAME_BYTES) records.set("path", name);
  if (target.length > NAME_BYTES) records.set("linkpath", target);
  if (uid > ID_MAX) records.set("uid", String(uid));
  if (gid > ID_MAX) records.set("gid", String(gid));
  if (size > SIZE_MAX) records.set("size", String(size));
  const isWhole = mtimeUs % SECOND_US === 0 && mtimeUs >= 0 && mtimeUs / SECOND_US <= SIZE_MAX;
  if (!isWhole) records.set("mtime", (mtimeUs / SECOND_US).toFixed(6));
  if (isSparse) records.set("comment", SPARSE_COMMENT);
  for (const { name: key, value } of attributes) {
    records.set(ATTRIBUTE_PREFIX + key, byteStringOf(value));
  }
  return records;
}
