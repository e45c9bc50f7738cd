import type { OwnTask } from "../core/network/merge-map.ts";
import type { TaskId } from "../model/ids.ts";
import { isTerminal } from "../model/task.ts";
import type { Containers } from "./containers.ts";
import type { Worker } from "./worker.ts";

/**
 * The tasks of this node that have an address, as they are at this moment; undefined before the
 * runtime was looked at, when nothing is known of them.
 * @param withdrawn tasks on their way out
 */
export function ownTasksOf(
  worker: Worker,
  containers: Containers,
  withdrawn: ReadonlySet<TaskId>,
): OwnTask[] | undefined {
  if (!containers.isListed) return undefined;
  const own: OwnTask[] = [];
  for (const assignment of worker.assignments()) {
    const { taskId: id, serviceId, stack, service, slot, ports } = assignment;
    const found = containers.get(id);
    const status = worker.status(id);
    if (assignment.container.networkMode !== "bridge" || found?.address === undefined) continue;
    if (found.state === "exited" || (status !== undefined && isTerminal(status.state))) continue;
    const isReady = found.state === "running" && worker.isServing(id) && !withdrawn.has(id);
    own.push({ id, serviceId, stack, service, slot, ports, address: found.address, isReady });
  }
  return own;
}
