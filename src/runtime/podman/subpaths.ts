import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { Mount, VolumeMount } from "../../model/container.ts";
import type { TaskId } from "../../model/ids.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
/** Of mount(2) and umount(2). */
const MS_BIND = 4096n;
const MNT_DETACH = 2;

/**
 * Directories and files of volumes that tasks mount instead of the whole: Podman 4.3 does not know
 * them. Each is mounted at a place of ours first, from where Podman takes it. The way to it is gone
 * name by name, without following a link, and what was found is what is mounted: a container that
 * has the volume as well can't lead anybody out of it by swapping names.
 */
export class Subpaths {
  readonly #directory: string;
  readonly #volumePath: (name: string) => Promise<string>;

  constructor(runDir: string, volumePath: (name: string) => Promise<string>) {
    this.#directory = join(runDir, "subpaths");
    this.#volumePath = volumePath;
  }

  /** The mounts as Podman can make them. */
  async resolve(taskId: TaskId, mounts: readonly Mount[]): Promise<Mount[]> {
    const resolved: Mount[] = [];
    for (const [index, mount] of mounts.entries()) {
      if (mount.type !== "volume" || mount.subpath === undefined) resolved.push(mount);
      else resolved.push(await this.#bind(taskId, index, { ...mount, subpath: mount.subpath }));
    }
    return resolved;
  }

  /** Gives back what a task had. */
  async release(taskId: TaskId): Promise<void> {
    const directory = join(this.#directory, taskId);
    if (!fs.existsSync(directory)) return;
    const calls = await loadMount();
    for (const name of fs.readdirSync(directory)) {
      const place = join(directory, name);
      calls.umount(place);
      // What is still mounted is no empty place, and stays until the machine starts anew.
      if (fs.statSync(place).isDirectory()) fs.rmdirSync(place);
      else fs.unlinkSync(place);
    }
    fs.rmdirSync(directory);
  }

  async #bind(
    taskId: TaskId,
    index: number,
    { volume, target, readOnly, subpath }: VolumeMount & { subpath: string },
  ): Promise<Mount> {
    const descriptor = openBelow(await this.#volumePath(volume), subpath, volume);
    try {
      const directory = join(this.#directory, taskId);
      fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
      const place = join(directory, String(index));
      if (fs.fstatSync(descriptor).isDirectory()) fs.mkdirSync(place, { recursive: true });
      else fs.closeSync(fs.openSync(place, "a", 0o600));
      const calls = await loadMount();
      // A task that is made anew after a failure has had it mounted before.
      calls.umount(place);
      if (!calls.mount(`/proc/self/fd/${descriptor}`, place)) {
        throw new OrchdError("runtime", `${subpath} of the volume ${volume} can't be mounted`);
      }
      return { type: "bind", source: place, target, readOnly, createSource: false };
    } finally {
      fs.closeSync(descriptor);
    }
  }
}

function openBelow(root: string, subpath: string, volume: string): number {
  let at = fs.openSync(root, O_RDONLY | O_DIRECTORY);
  const names = subpath.split("/");
  try {
    for (const [index, name] of names.entries()) {
      const isLast = index === names.length - 1;
      const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (isLast ? 0 : O_DIRECTORY);
      const next = fs.openSync(`/proc/self/fd/${at}/${name}`, flags);
      fs.closeSync(at);
      at = next;
    }
    return at;
  } catch (cause) {
    fs.closeSync(at);
    const code = systemCodeOf(cause);
    const isLink = code === "ELOOP" || code === "ENOTDIR";
    const why = isLink ? "leads over a link or a file" : "is not there: make it first";
    const message = `${subpath} of the volume ${volume} ${why}`;
    throw new OrchdError(code === "ENOENT" ? "notFound" : "runtime", message, { cause });
  }
}

async function loadMount() {
  const { dlopen, ptr } = await import("bun:ffi");
  const { symbols } = dlopen("libc.so.6", {
    mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
    umount2: { args: ["ptr", "i32"], returns: "i32" },
  });
  const text = (value: string) => Buffer.from(`${value}\0`);
  return {
    mount(source: string, target: string): boolean {
      return symbols.mount(ptr(text(source)), ptr(text(target)), null, MS_BIND, null) === 0;
    },
    umount(target: string): void {
      symbols.umount2(ptr(text(target)), MNT_DETACH);
    },
  };
}
