import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import { mountAt, unmount } from "./libc.ts";
import type { SnapshotMount } from "./methods.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_DIRECTORY } = fs.constants;
/** Accounts of a container; no real file is larger. */
const FILE_BYTES_MAX = 1024 * 1024;

/** Where the layers of a container's file system are, its own first. */
export function layersOf(mounts: readonly SnapshotMount[]): string[] {
  const [mount] = mounts;
  if (mount === undefined) return [];
  if (mount.type !== "overlay") return [mount.source];
  const valueOf = (key: string) =>
    mount.options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
  const paths = [valueOf("upperdir"), ...valueOf("lowerdir").split(":")];
  return paths.filter((path) => path !== "");
}

/** A small file of a container's file system; undefined where there is none, or a link is. */
export function readInLayers(layers: readonly string[], path: string): string | undefined {
  for (const layer of layers) {
    const found = openBelow(layer, path);
    if (found === undefined) continue;
    try {
      const { size } = fs.fstatSync(found);
      if (!fs.fstatSync(found).isFile() || size > FILE_BYTES_MAX) return undefined;
      return fs.readFileSync(found, "utf8");
    } finally {
      fs.closeSync(found);
    }
  }
  return undefined;
}

/** Opens what is there, without following a link on the way: an image may hold any. */
export function openBelow(root: string, path: string): number | undefined {
  const names = path.split("/").filter((name) => name !== "");
  if (names.includes("..")) return undefined;
  try {
    let at = fs.openSync(root, O_RDONLY | O_DIRECTORY);
    for (const [index, name] of names.entries()) {
      const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
      const more = index === names.length - 1 ? 0 : O_DIRECTORY;
      try {
        const next = fs.openSync(`/proc/self/fd/${at}/${name}`, flags | more);
        fs.closeSync(at);
        at = next;
      } catch (error) {
        fs.closeSync(at);
        throw error;
      }
    }
    return at;
  } catch {
    // Not there, or a link: both are "nothing" to whoever looks.
    return undefined;
  }
}

/** Mounts a container's file system at a place of ours while `use` looks at it. */
export async function withRootfs<T>(
  mounts: readonly SnapshotMount[],
  place: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const [mount] = mounts;
  if (mount === undefined) throw new OrchdError("runtime", "the container has no file system");
  fs.mkdirSync(place, { recursive: true, mode: 0o700 });
  if (!(await mountAt(mount, place))) {
    throw new OrchdError("runtime", `a container's file system can't be mounted at ${place}`);
  }
  try {
    return await use(place);
  } finally {
    await unmount(place);
    fs.rmdirSync(place);
  }
}

/** What an orchd that was killed has left mounted. */
export async function unmountLeft(directory: string): Promise<void> {
  if (!fs.existsSync(directory)) return;
  for (const name of fs.readdirSync(directory)) {
    await unmount(join(directory, name));
    // Never recursive: what is still mounted stays.
    fs.rmdirSync(join(directory, name));
  }
}
