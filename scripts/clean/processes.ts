import { setTimeout as pause } from "node:timers/promises";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import { Cgroups } from "../../src/runtime/process/cgroups.ts";

const LOOK_AGAIN_MS = 20;
const END_MS = 10_000;

/** Ends the processes of nodes, and removes their cgroups. */
export async function cleanProcesses(nodes: readonly NodeId[]): Promise<void> {
  for (const nodeId of nodes) {
    const cgroups = new Cgroups(nodeId);
    for (const taskId of cgroups.all()) await end(cgroups, taskId);
    cgroups.close();
  }
}

async function end(cgroups: Cgroups, taskId: TaskId): Promise<void> {
  const deadline = Date.now() + END_MS;
  for (;;) {
    cgroups.kill(taskId);
    if (cgroups.remove(taskId)) return;
    if (Date.now() > deadline) throw new Error(`the processes of task ${taskId} do not end`);
    await pause(LOOK_AGAIN_MS);
  }
}
