import { setTimeout as pause } from "node:timers/promises";
import type { Figure } from "./figure.ts";
import { benchHost, sleepers } from "./bench-host.ts";
import { cpuMs, memoryKb, one, writtenBytes } from "./process.ts";

/** Time in which a server that has just deployed something comes to rest. */
const SETTLE_MS = 15_000;

/** What a server with agent and 20 running tasks takes while nothing happens. */
export async function benchIdle(windowMs: number): Promise<Figure[]> {
  const { host } = await benchHost();
  try {
    await host.mustUp(sleepers("bench", 20));
    await pause(SETTLE_MS);
    const pid = host.serverPid;
    const before = { files: host.dataFiles(), cpu: cpuMs(pid), written: writtenBytes(pid) };
    await pause(windowMs);
    const after = { files: host.dataFiles(), cpu: cpuMs(pid), written: writtenBytes(pid) };
    const changed = after.files.filter((line) => !before.files.includes(line));
    const seconds = windowMs / 1000;
    const during = `${seconds} s idle, 20 tasks`;
    return [
      one(`server resident memory, ${during}`, memoryKb(pid, "Rss") / 1024, "MiB", 90),
      one(`server proportional memory, ${during}`, memoryKb(pid, "Pss") / 1024, "MiB"),
      one(`server CPU, ${during}`, (100 * (after.cpu - before.cpu)) / windowMs, "% of a core", 1),
      one(`files of the data directory that changed, ${during}`, changed.length, "files", 0),
      one(`bytes the server wrote to disks, ${during}`, after.written - before.written, "B", 0),
    ];
  } finally {
    await host.stop();
  }
}
