import type { SnapshotMount } from "./methods.ts";

/** Calls of the system that Bun has no name for. */

/** Of mount(2) and umount(2). */
const FLAGS: ReadonlyMap<string, bigint> = new Map([
  ["ro", 1n],
  ["rw", 0n],
  ["bind", 4096n],
  ["rbind", 4096n | 16384n],
]);
const MNT_DETACH = 2;
/** FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE, fallocate(2). */
const PUNCH_HOLE = 3;

/** Mounts one; answers whether that worked. */
export async function mountAt(mount: SnapshotMount, target: string): Promise<boolean> {
  const { libc, text } = await load();
  const flags = mount.options.reduce((sum, option) => sum | (FLAGS.get(option) ?? 0n), 0n);
  const data = mount.options.filter((option) => !FLAGS.has(option)).join(",");
  return libc.mount(text(mount.source), text(target), text(mount.type), flags, text(data)) === 0;
}

/** Takes away what is mounted there, also while somebody uses it; nothing where nothing is. */
export async function unmount(target: string): Promise<void> {
  const { libc, text } = await load();
  libc.umount2(text(target), MNT_DETACH);
}

/** Makes a FIFO for this user alone; answers whether that worked. */
export async function makeFifo(path: string): Promise<boolean> {
  const { libc, text } = await load();
  return libc.mkfifo(text(path), 0o600) === 0;
}

/** Gives back the disk space of a part of an open file, which reads as zeros then. */
export type PunchHole = (descriptor: number, from: number, bytes: number) => void;

/** Made before there are files to use it on: a file may be closed before a promise goes on. */
export async function makePunchHole(): Promise<PunchHole> {
  const { libc } = await load();
  return (descriptor, from, bytes) => {
    libc.fallocate64(descriptor, PUNCH_HOLE, BigInt(from), BigInt(bytes));
  };
}

let loaded: ReturnType<typeof open> | undefined;

function load(): ReturnType<typeof open> {
  return (loaded ??= open());
}

async function open() {
  const { dlopen, ptr } = await import("bun:ffi");
  const { symbols: libc } = dlopen("libc.so.6", {
    mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
    umount2: { args: ["ptr", "i32"], returns: "i32" },
    mkfifo: { args: ["ptr", "u32"], returns: "i32" },
    fallocate64: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
  });
  return { libc, text: (value: string) => ptr(Buffer.from(`${value}\0`)) };
}
