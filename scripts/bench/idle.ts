import { setTimeout as pause } from "node:timers/promises";
import { one, type Figure } from "./figure.ts";
import { benchHost, sleepers } from "./bench-host.ts";
import { CostMeter, memoryFigures } from "./process-cost.ts";

/** Time in which a server that has just deployed something comes to rest. */
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
    await pause(windowMs);
    const { cpuPercent, writtenBytes } = cost;
    const changed = host.dataFiles().filter((line) => !before.includes(line));
    const during = `${windowMs / 1000} s idle, 20 tasks`;
    return [
      ...memoryFigures("server", pid, during, 90),
      one(`server CPU, ${during}`, cpuPercent, "% of a core", 1),
      one(`files of the data directory that changed, ${during}`, changed.length, "files", 0),
      one(`bytes the server wrote to disks, ${during}`, writtenBytes, "B", 0),
    ];
  } finally {
    await host.stop();
  }
}
