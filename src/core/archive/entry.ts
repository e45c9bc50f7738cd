/** What a directory tree is made of, as far as archives hold it. */
export type EntryKind = "file" | "directory" | "symlink" | "hardlink" | "fifo";

export interface ExtendedAttribute {
  /** A byte string: `user.note`. */
  name: string;
  value: Uint8Array;
}

/** One member of a tree, without the content of a file. */
export interface ArchiveEntry {
  kind: EntryKind;
  /** A byte string, relative, with `/` between its names; empty for the tree's own top. */
  path: string;
  /** Permissions with set-user-id and the like: the twelve lowest bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Microseconds since 1970. */
  mtimeUs: number;
  /** Bytes of a file's content; 0 for everything else. */
  size: number;
  /** Where a symbolic link leads, or the path of the file that a hard link is: a byte string. */
  target: string;
  /** Whether the file has holes, which are to be holes again. */
  isSparse: boolean;
  attributes: readonly ExtendedAttribute[];
}

/** As Linux has it: PATH_MAX and NAME_MAX. */
export const PATH_BYTES_MAX = 4096;
export const NAME_BYTES_MAX = 255;
/** Deeper trees are no program's. */
export const DEPTH_MAX = 256;

/**
 * Why a byte string is no path inside a tree, in words that follow it; undefined when it is one.
 * The empty path is the top.
 */
export function whyNoPath(path: string): string | undefined {
  if (path === "") return undefined;
  if (path.startsWith("/")) return "is an absolute path";
  if (path.length > PATH_BYTES_MAX) return "is too long";
  if (path.includes("\0")) return "has a NUL in it";
  const names = path.split("/");
  if (names.length > DEPTH_MAX) return "is nested too deep";
  if (names.includes("..")) return "leads out of the volume";
  if (names.some((name) => name === "" || name === ".")) return "is no plain path";
  return names.some((name) => name.length > NAME_BYTES_MAX) ? "has a name too long" : undefined;
}
