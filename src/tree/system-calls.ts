import type { ExtendedAttribute } from "../core/archive/entry.ts";
import { byteStringOf, bytesOf } from "../core/archive/bytes.ts";

/** What Node's own file functions do not have. */
export interface SystemCalls {
  /** Attributes that belong to the content, of the file itself and not of what it links to. */
  attributesOf(path: Uint8Array): ExtendedAttribute[];
  /** Answers whether the file system took it. */
  setAttribute(path: Uint8Array, attribute: ExtendedAttribute): boolean;
  /** Answers whether it could be made. */
  makeFifo(path: Uint8Array, mode: number): boolean;
}

/**
 * Those that travel: what programs keep there, access lists and capabilities. Labels of a security
 * module and what file systems note for themselves are the machine's own.
 */
const KEPT = /^(user\.|security\.capability$|system\.posix_acl_(access|default)$)/;
const LIST_BYTES_MAX = 65_536;

/** Without the GNU C library files have no attributes here, and nothing else is missing. */
export async function loadSystemCalls(): Promise<SystemCalls> {
  try {
    return await open();
  } catch {
    // Another C library.
    return { attributesOf: () => [], setAttribute: () => false, makeFifo: () => false };
  }
}

async function open(): Promise<SystemCalls> {
  const { dlopen, ptr } = await import("bun:ffi");
  const { symbols } = dlopen("libc.so.6", {
    llistxattr: { args: ["ptr", "ptr", "u64"], returns: "i64" },
    lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
    lsetxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
    mkfifo: { args: ["ptr", "u32"], returns: "i32" },
  });
  const list = new Uint8Array(LIST_BYTES_MAX);
  const value = new Uint8Array(LIST_BYTES_MAX);
  return {
    attributesOf(path) {
      const file = ended(path);
      const length = Number(symbols.llistxattr(ptr(file), ptr(list), LIST_BYTES_MAX));
      if (length <= 0) return [];
      const names = byteStringOf(list.subarray(0, length)).split("\0");
      return names.flatMap((name) => {
        if (!KEPT.test(name)) return [];
        const key = ended(bytesOf(name));
        const size = Number(symbols.lgetxattr(ptr(file), ptr(key), ptr(value), LIST_BYTES_MAX));
        return size < 0 ? [] : [{ name, value: value.slice(0, size) }];
      });
    },
    setAttribute(path, { name, value: bytes }) {
      if (!KEPT.test(name)) return false;
      // A pointer needs something to point at.
      const content = bytes.length === 0 ? new Uint8Array(1) : bytes;
      const key = ended(bytesOf(name));
      const { length } = bytes;
      return symbols.lsetxattr(ptr(ended(path)), ptr(key), ptr(content), length, 0) === 0;
    },
    makeFifo: (path, mode) => symbols.mkfifo(ptr(ended(path)), mode) === 0,
  };
}

/** As C takes a text. */
function ended(bytes: Uint8Array): Uint8Array {
  const text = new Uint8Array(bytes.length + 1);
  text.set(bytes);
  return text;
}
