import { closeSync, constants, openSync, readSync } from "node:fs";
import { systemCodeOf } from "../../lib/errors.ts";

/** One read gives one record; the kernel's own are far shorter. */
const RECORD_BYTES_MAX = 8192;
/** More than any kernel keeps. */
const RECORDS_MAX = 200_000;

/**
 * Whether the kernel says that it killed a process of a cgroup for its memory limit. With old
 * cgroups conmon often misses that, because the notice and the process's end come at once. False
 * where the kernel's log can't be read.
 * @param cgroup its name, or as much of it as nobody else has
 */
export function killedForMemory(cgroup: string): boolean {
  let fd: number;
  try {
    fd = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // No right to read it, or no such device inside a container: then it stays unknown.
    return false;
  }
  try {
    const buffer = Buffer.alloc(RECORD_BYTES_MAX);
    for (let i = 0; i < RECORDS_MAX; i++) {
      const record = readRecord(fd, buffer);
      if (record === undefined) return false;
      if (isKillFor(record, cgroup)) return true;
    }
    return false;
  } finally {
    closeSync(fd);
  }
}

/** `oom-kill:…,oom_memcg=/…/libpod-ID,…`, as Linux writes it since 5.0. */
export function isKillFor(record: string, cgroup: string): boolean {
  return record.includes("oom-kill:") && record.includes(cgroup);
}

/** The next record, empty for one that was overwritten meanwhile; undefined at the end. */
function readRecord(fd: number, buffer: Buffer): string | undefined {
  try {
    const length = readSync(fd, buffer);
    return length === 0 ? undefined : buffer.toString("latin1", 0, length);
  } catch (error) {
    if (systemCodeOf(error) === "EPIPE") return "";
    // EAGAIN: everything was read.
    return undefined;
  }
}
