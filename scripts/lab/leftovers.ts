import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const CGROUPS = "/sys/fs/cgroup";
const CONTAINER_ID = /^[0-9a-f]{64}$/;
const TASK_ID = /^[a-z][0-9a-z]{11}$/;
/** Where Podman's are, and those of orchd's containerd. */
const PARENTS = new Set(["libpod_parent", "orchd"]);

/** Removes what labs left whose process is gone: they were killed before they could tidy up. */
export function removeStaleLabs(parent: string, prefix: string): void {
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(prefix))) {
    const dir = join(parent, name);
    const owner = join(dir, "owner");
    if (existsSync(owner) && existsSync(`/proc/${readFileSync(owner, "utf8")}`)) continue;
    removeCgroups(dir);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Removes the empty cgroups of a lab's containers, known by the ids in its own storage. */
export function removeCgroups(dir: string): void {
  const storage = join(dir, "containers", "storage", "overlay-containers");
  const ids = existsSync(storage) ? readdirSync(storage).filter((n) => CONTAINER_ID.test(n)) : [];
  const kept = join(dir, "orchd", "containerd", "containers");
  const tasks = existsSync(kept) ? readdirSync(kept).filter((name) => TASK_ID.test(name)) : [];
  const wanted = new Set([...ids.map((id) => `libpod-${id}`), ...tasks]);
  for (const parent of findParents(CGROUPS, 2)) {
    for (const name of readdirSync(parent)) {
      if (wanted.has(name)) removeTree(join(parent, name));
    }
  }
}

/** Those under one unified hierarchy, or under each controller. */
function findParents(folder: string, depth: number): string[] {
  if (depth === 0 || !existsSync(folder)) return [];
  const folders = readdirSync(folder, { withFileTypes: true }).filter((e) => e.isDirectory());
  return folders.flatMap((entry) => {
    const path = join(folder, entry.name);
    return PARENTS.has(entry.name) ? [path] : findParents(path, depth - 1);
  });
}

/** Cgroups are removed folder by folder, the innermost first; their files go by themselves. */
function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  }
  try {
    rmdirSync(path);
  } catch {
    // A process in it is just ending; an empty cgroup costs nothing and no one looks for it.
  }
}
