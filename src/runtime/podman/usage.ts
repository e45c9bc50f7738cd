import { z } from "zod";
import type { TaskId } from "../../model/ids.ts";
import type { NodeUsage } from "../../model/usage.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { PodmanHttp } from "./http.ts";

const statsSchema = z.object({
  Stats: z
    .array(z.object({ ContainerID: z.string(), CPUNano: z.number(), MemUsage: z.number() }))
    .nullish(),
});

/** One call's address stays well below what an HTTP server takes. */
const CONTAINERS_PER_CALL = 50;

/**
 * What containers use now; one that has ended may use nothing instead of being left out. Podman
 * refuses to say anything when one of several is gone.
 */
export async function readUsage(
  http: PodmanHttp,
  tasks: readonly { taskId: TaskId; containerId: string | undefined }[],
): Promise<NodeUsage["tasks"]> {
  const known = new Map<string, TaskId>();
  for (const { taskId, containerId } of tasks) {
    if (containerId !== undefined) known.set(containerId, taskId);
  }
  const ids = [...known.keys()];
  const usage: NodeUsage["tasks"] = [];
  for (let from = 0; from < ids.length; from += CONTAINERS_PER_CALL) {
    const stats = await readStats(http, ids.slice(from, from + CONTAINERS_PER_CALL));
    for (const { ContainerID, CPUNano, MemUsage } of stats) {
      const taskId = known.get(ContainerID);
      if (taskId === undefined) continue;
      usage.push({ taskId, cpuMs: CPUNano / 1e6, memoryBytes: MemUsage });
    }
  }
  return usage;
}

async function readStats(http: PodmanHttp, containers: readonly string[]): Promise<Stats> {
  const query = new URLSearchParams({ stream: "false" });
  for (const id of containers) query.append("containers", id);
  try {
    const { Stats } = await http.json(statsSchema, "GET", `/containers/stats?${query.toString()}`);
    return Stats ?? [];
  } catch (error) {
    if (!(error instanceof OrchdError) || error.code !== "notFound") throw error;
    // One of them went in the meantime: the others are asked for one by one.
    if (containers.length === 1) return [];
    const each = await Promise.all(containers.map((id) => readStats(http, [id])));
    return each.flat();
  }
}

type Stats = NonNullable<z.infer<typeof statsSchema>["Stats"]>;
