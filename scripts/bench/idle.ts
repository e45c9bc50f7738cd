import { setTimeout as pause } from "node:timers/promises";
import { one, type Figure } from "./figure.ts";
import { benchHost, sleepers } from "./bench-host.ts";
import { CostMeter, memoryFigures, residentDuring } from "./process-cost.ts";

/** It comes to rest, and gives back 30 s after its start what only that needed. */
const SETTLE_MS = 45_000;

/** What a server with agent and 20 running tasks takes while nothing happens. */
export async function benchIdle(windowMs: number): Promise<Figure[]> {
  const { host } = await benchHost();
  try {
    await host.mustUp(sleepers("bench", 20));
    await pause(SETTLE_MS);
    const pid = host.serverPid;
    const before = host.dataFiles();
    const cost = new CostMeter(pid);
    const resident = await residentDuring(pid, windowMs);
    const { cpuPercent, writtenBytes } = cost;
    const changed = host.dataFiles().filter((line) => !before.includes(line));
    const during = `${windowMs / 1000} s idle, 20 tasks`;
    return [
      ...memoryFigures({ name: "server", pid, during }, resident, 90),
      one(`server CPU, ${during}`, cpuPercent, "% of a core", 1),
      one(`files of the data directory that changed, ${during}`, changed.length, "files", 0),
      one(`bytes the server wrote to disks, ${during}`, writtenBytes, "B", 0),
    ];
  } finally {
    await host.stop();
  }
}
