import { systemCodeOf } from "../lib/errors.ts";
import { DEPTH_MAX } from "../core/archive/entry.ts";
import { OpenDirectory } from "./open-directory.ts";

/** After so many names whoever else waits has a turn. */
const TURN_NAMES = 512;

/** What a tree takes on the disk, as `du` counts. */
export interface TreeSize {
  bytes: number;
  files: number;
}

/** Looks at every name in a tree; follows no link and enters no other file system. */
export async function measureTree(path: string, signal?: AbortSignal): Promise<TreeSize> {
  const top = OpenDirectory.top(path);
  const size: TreeSize = { bytes: 0, files: 0 };
  const links = new Set<string>();
  let names = 0;

  const look = async (directory: OpenDirectory, device: bigint, depth: number): Promise<void> => {
    for (const name of directory.names()) {
      if (++names % TURN_NAMES === 0) await new Promise((turn) => setImmediate(turn));
      signal?.throwIfAborted();
      try {
        await add(directory, name, device, depth);
      } catch (error) {
        // It went while we looked.
        const code = systemCodeOf(error);
        if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "ELOOP") throw error;
      }
    }
  };

  const add = async (
    directory: OpenDirectory,
    name: string,
    device: bigint,
    depth: number,
  ): Promise<void> => {
    const stat = directory.stat(name);
    if (!isCounted(stat, links)) return;
    size.bytes += Number(stat.blocks) * 512;
    if (!stat.isDirectory()) size.files += 1;
    if (!stat.isDirectory() || stat.dev !== device || depth >= DEPTH_MAX) return;
    const child = directory.child(name);
    try {
      await look(child, device, depth + 1);
    } finally {
      child.close();
    }
  };

  try {
    const { dev } = top.stat(".");
    await look(top, dev, 0);
    return size;
  } finally {
    top.close();
  }
}

/** A file with several names counts once. */
function isCounted(
  stat: { nlink: bigint; dev: bigint; ino: bigint; isDirectory(): boolean },
  links: Set<string>,
): boolean {
  if (stat.nlink < 2n || stat.isDirectory()) return true;
  const key = `${stat.dev}:${stat.ino}`;
  if (links.has(key)) return false;
  links.add(key);
  return true;
}
