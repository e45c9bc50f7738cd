import { crc32 } from "node:zlib";
import { GLOBAL_TYPE, encodeEnd, encodePaxBlock } from "./encode-entry.ts";
import { bytesOf, joined } from "./bytes.ts";

/** What an archive of ours is. */
export const ARCHIVE_KINDS = ["volume archive", "cluster backup", "sealed backup"] as const;
export type ArchiveKind = (typeof ARCHIVE_KINDS)[number];

/** The version of all that is written; an archive with a greater one is refused. */
export const ARCHIVE_VERSION = 2;

/** How many bytes of an archive stand behind what its digest is of. */
export const TRAILER_BYTES = 2048;

export interface Beginning {
  kind: ArchiveKind;
  version: number;
}

/** What was put into an archive, told at its end. */
export interface Contents {
  /** SHA-256 of everything before the trailer, in hexadecimal digits. */
  sha256: string;
  entries: number;
  /** Of the files' content. */
  bytes: number;
  /** Files that changed while they were read. */
  changed: number;
  /** Sockets and devices, which an archive does not hold. */
  skipped: number;
}

/**
 * The first words of an archive: a comment for the whole of it, which other programs that read tar
 * archives leave out.
 */
export function encodeBeginning(kind: ArchiveKind): Uint8Array {
  return encodeComment(`orchd ${kind} ${ARCHIVE_VERSION}`);
}

export function parseBeginning(comment: string | undefined): Beginning | undefined {
  const [, name, version] = /^orchd ([a-z ]{1,32}) (\d{1,6})$/.exec(comment ?? "") ?? [];
  const kind = ARCHIVE_KINDS.find((known) => known === name);
  return kind === undefined ? undefined : { kind, version: Number(version) };
}

/**
 * The last words: what is in the archive, and by what to know that it is all there.
 * @param crc32 of everything before them
 */
export function encodeTrailer(contents: Contents, crc32: number): Uint8Array {
  const words = trailerWords(contents);
  const check = formatCrc32(extendCrc32(crc32, bytesOf(words)));
  return joined([encodeComment(`orchd end ${words} crc32=${check}`), encodeEnd()]);
}

function trailerWords({ sha256, entries, bytes, changed, skipped }: Contents): string {
  const counts = `entries=${entries} bytes=${bytes} changed=${changed} skipped=${skipped}`;
  return `sha256=${sha256} ${counts}`;
}

const TRAILER = new RegExp(
  "^orchd end (sha256=([0-9a-f]{64})" +
    ["entries", "bytes", "changed", "skipped"].map((name) => ` ${name}=(\\d{1,15})`).join("") +
    ")(?: crc32=([0-9a-f]{8}))?$",
);

export interface Trailer {
  contents: Contents;
  /**
   * Whether it goes with what came before it, by the CRC of that; undefined where it has none, as
   * those of version 1.
   */
  goesWith(crc32: number): boolean | undefined;
}

export function parseTrailer(comment: string | undefined): Trailer | undefined {
  const [, words, sha256, ...others] = TRAILER.exec(comment ?? "") ?? [];
  if (words === undefined || sha256 === undefined) return undefined;
  const [entries = 0, bytes = 0, changed = 0, skipped = 0] = others.slice(0, 4).map(Number);
  const check = others[4];
  return {
    contents: { sha256, entries, bytes, changed, skipped },
    goesWith: (before) =>
      check === undefined ? undefined : check === formatCrc32(extendCrc32(before, bytesOf(words))),
  };
}

/** The CRC of what it is of already, and of these bytes behind that; it begins with 0. */
export function extendCrc32(before: number, bytes: Uint8Array): number {
  return crc32(bytes, before);
}

function formatCrc32(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function encodeComment(text: string): Uint8Array {
  return encodePaxBlock(GLOBAL_TYPE, "PaxHeader", new Map([["comment", text]]));
}
