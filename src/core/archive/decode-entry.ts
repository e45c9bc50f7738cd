import type { Parsed } from "../../lib/parsed.ts";
import type { Block } from "./block.ts";
import { bytesOf, shownName } from "./bytes.ts";
import { ATTRIBUTE_PREFIX, SPARSE_COMMENT, TYPES } from "./encode-entry.ts";
import {
  type ArchiveEntry,
  type EntryKind,
  type ExtendedAttribute,
  NAME_BYTES_MAX,
  PATH_BYTES_MAX,
  whyNoPath,
} from "./entry.ts";
import type { PaxRecords } from "./pax.ts";

const ATTRIBUTES_MAX = 256;
/** As Linux has it: XATTR_SIZE_MAX. */
const ATTRIBUTE_BYTES_MAX = 65_536;
const ID_MAX = 0xffff_ffff;
const SECOND_US = 1_000_000;
/** The year 9999. */
const TIME_MAX_S = 253_402_300_799;

/** An entry as its block and the records before it tell, or why it is refused. */
export function decodeEntry(block: Block, records: PaxRecords): Parsed<ArchiveEntry> {
  const written = records.get("path") ?? block.name;
  const kind = kindOf(block.type);
  const where = `the archive is refused: ${shownName(written)}`;
  if (kind === undefined) return { ok: false, problem: `${where} is a device or unknown` };
  const path = kind === "directory" ? withoutSlash(written) : written;
  const why = path === "" && kind !== "directory" ? "has no name" : whyNoPath(path);
  if (why !== undefined) return { ok: false, problem: `${where} ${why}` };
  const target = targetOf(kind, records.get("linkpath") ?? block.link);
  if (target === undefined) return { ok: false, problem: `${where} links to somewhere else` };
  const numbers = numbersOf(block, records);
  const attributes = attributesOf(records);
  if (numbers === undefined || attributes === undefined) {
    return { ok: false, problem: `${where} has what makes no sense` };
  }
  if (kind !== "file" && numbers.size !== 0) {
    return { ok: false, problem: `${where} has content and is no file` };
  }
  const isSparse = records.get("comment") === SPARSE_COMMENT;
  const { mode } = block;
  return { ok: true, value: { kind, path, mode, ...numbers, target, isSparse, attributes } };
}

function kindOf(type: string): EntryKind | undefined {
  const kinds = Object.keys(TYPES) as EntryKind[];
  return kinds.find((kind) => TYPES[kind] === type);
}

/** `./` is the top. */
function withoutSlash(name: string): string {
  const path = name.endsWith("/") ? name.slice(0, -1) : name;
  return path === "." ? "" : path;
}

/**
 * A symbolic link may say anything: nobody follows it here, and what it means is for the container
 * to which it belongs. A hard link is to a file of the same tree.
 */
function targetOf(kind: EntryKind, target: string): string | undefined {
  if (kind === "symlink") {
    const isText = target !== "" && !target.includes("\0");
    return isText && target.length < PATH_BYTES_MAX ? target : undefined;
  }
  if (kind !== "hardlink") return "";
  return target === "" || whyNoPath(target) !== undefined ? undefined : target;
}

function numbersOf(block: Block, records: PaxRecords) {
  const uid = wholeIn(records.get("uid"), block.uid);
  const gid = wholeIn(records.get("gid"), block.gid);
  const size = wholeIn(records.get("size"), block.size);
  const mtimeUs = timeIn(records.get("mtime"), block.mtimeSeconds);
  if (uid === undefined || gid === undefined || uid > ID_MAX || gid > ID_MAX) return undefined;
  if (size === undefined || mtimeUs === undefined || block.mode > 0o7777) return undefined;
  return { uid, gid, size, mtimeUs };
}

function wholeIn(text: string | undefined, otherwise: number): number | undefined {
  if (text === undefined) return otherwise;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Seconds with a fraction, as microseconds. */
function timeIn(text: string | undefined, otherwise: number): number | undefined {
  if (text === undefined) return otherwise * SECOND_US;
  if (!/^-?\d{1,12}(\.\d{1,9})?$/.test(text)) return undefined;
  const seconds = Number(text);
  return Math.abs(seconds) > TIME_MAX_S ? undefined : Math.round(seconds * SECOND_US);
}

function attributesOf(records: PaxRecords): ExtendedAttribute[] | undefined {
  const found: ExtendedAttribute[] = [];
  for (const [key, value] of records) {
    if (!key.startsWith(ATTRIBUTE_PREFIX)) continue;
    const name = key.slice(ATTRIBUTE_PREFIX.length);
    const isName = name !== "" && name.length <= NAME_BYTES_MAX && !name.includes("\0");
    if (!isName || value.length > ATTRIBUTE_BYTES_MAX) return undefined;
    found.push({ name, value: bytesOf(value) });
  }
  return found.length > ATTRIBUTES_MAX ? undefined : found;
}
