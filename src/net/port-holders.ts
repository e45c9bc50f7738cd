import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

/** A process of this machine. */
export interface FoundProcess {
  pid: number;
  /** Of its program, as the kernel knows it. */
  name: string;
  /** Where its executable is; empty where the kernel does not tell. */
  executable: string;
  words: string[];
}

/** The sockets of one kind that this network namespace has, as the kernel writes them. */
export function readSockets(protocol: "tcp" | "udp"): string[] {
  return [protocol, `${protocol}6`].map((name) => read(`/proc/net/${name}`));
}

/** Every process that can be seen from here. */
export function readProcesses(): FoundProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({
      pid: Number(name),
      name: read(`/proc/${name}/comm`).trim(),
      executable: linkOf(`/proc/${name}/exe`).replace(/ \(deleted\)$/, ""),
      words: read(`/proc/${name}/cmdline`).split("\0").slice(0, -1),
    }));
}

/** Whether the process is an orchd that runs as a server or an agent. */
export function isOrchd({ executable, words }: FoundProcess): boolean {
  return basename(executable).startsWith("orchd") && /^(server|join)$/.test(words[1] ?? "");
}

/** The first of the processes that has each of these sockets, by the socket's inode. */
export function holdersOf(
  inodes: ReadonlySet<number>,
  processes: readonly FoundProcess[],
): Map<number, FoundProcess> {
  const found = new Map<number, FoundProcess>();
  for (const process of processes) {
    for (const descriptor of list(`/proc/${process.pid}/fd`)) {
      const link = linkOf(`/proc/${process.pid}/fd/${descriptor}`);
      const inode = Number(/^socket:\[(\d+)\]$/.exec(link)?.[1]);
      if (inodes.has(inode) && !found.has(inode)) found.set(inode, process);
    }
  }
  return found;
}

// A process may end between two looks: then there is nothing of it.

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
