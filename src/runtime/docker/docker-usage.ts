import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { TaskId } from "../../model/ids.ts";
import type { NodeUsage } from "../../model/usage.ts";
import type { PodmanHttp } from "../podman/http.ts";

const PARALLEL = 4;
const NANOSECONDS_PER_MS = 1e6;

const statsSchema = z.object({
  cpu_stats: z.object({ cpu_usage: z.object({ total_usage: z.number() }) }),
  memory_stats: z.object({
    usage: z.number().optional(),
    stats: z
      .object({ total_inactive_file: z.number().optional(), inactive_file: z.number().optional() })
      .optional(),
  }),
});

/** What containers use now, without what the kernel only keeps of files; none of one that ended. */
export async function readDockerUsage(
  http: PodmanHttp,
  tasks: readonly { taskId: TaskId; containerId: string | undefined }[],
): Promise<NodeUsage["tasks"]> {
  const usage: NodeUsage["tasks"] = [];
  const rows = tasks.values();
  const read = async () => {
    for (let next = rows.next(); next.done !== true; next = rows.next()) {
      const { taskId, containerId } = next.value;
      const found = containerId === undefined ? undefined : await readOne(http, containerId);
      if (found !== undefined) usage.push({ taskId, ...found });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, read));
  return usage;
}

async function readOne(http: PodmanHttp, id: string) {
  const query = { stream: false, "one-shot": true };
  try {
    const path = `/containers/${id}/stats`;
    const { cpu_stats, memory_stats } = await http.json(statsSchema, "GET", path, { query });
    const { usage, stats = {} } = memory_stats;
    // A container that does not run has none.
    if (usage === undefined) return undefined;
    const files = stats.total_inactive_file ?? stats.inactive_file ?? 0;
    return {
      cpuMs: cpu_stats.cpu_usage.total_usage / NANOSECONDS_PER_MS,
      memoryBytes: Math.max(0, usage - files),
    };
  } catch (error) {
    // It went meanwhile.
    if (error instanceof OrchdError && error.code === "notFound") return undefined;
    throw error;
  }
}
