/** POSIX paths as text: nothing here looks at a file system. */

export function isAbsolutePath(path: string): boolean {
  return path.startsWith("/");
}

/** `path` seen from `base`, normalised; an absolute `path` stands for itself. */
export function joinPath(base: string, path: string): string {
  return normalisePath(isAbsolutePath(path) ? path : `${base}/${path}`);
}

/**
 * The path without `.`, empty and inner `..` segments. A `..` at the root is dropped; one at the
 * start of a relative path is kept. The empty path is `.`.
 */
export function normalisePath(path: string): string {
  const absolute = isAbsolutePath(path);
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") kept.push(segment);
    else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (!absolute) kept.push("..");
  }
  const joined = kept.join("/");
  return absolute ? `/${joined}` : joined || ".";
}

/** Everything before the last segment: `/a` of `/a/b`, `/` of `/a`, `.` of `a`. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}

/** The last segment; empty for the root. */
export function lastSegmentOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The path below `directory`, relative to it; any other path as it is. */
export function relativeTo(directory: string, path: string): string {
  const prefix = directory.endsWith("/") ? directory : `${directory}/`;
  return path.startsWith(prefix) && path.length > prefix.length ? path.slice(prefix.length) : path;
}
