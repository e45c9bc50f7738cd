import { OrchdError } from "../lib/errors.ts";
import type { Assignment } from "../model/assignment.ts";
import type { Containers } from "./containers.ts";

/**
 * The address at which this machine reaches a task's ports.
 * @throws OrchdError `conflict` when the task does not run, or has no network
 */
export function forwardTarget(
  assignment: Assignment | undefined,
  containers: Pick<Containers, "get">,
): string {
  const container = assignment && containers.get(assignment.taskId);
  if (assignment === undefined || container?.state !== "running") {
    throw new OrchdError("conflict", "the task does not run on its node: see `orchd explain`");
  }
  const { networkMode } = assignment.container;
  if (networkMode === "host") return "127.0.0.1";
  const { networkTask } = container;
  const owner = networkTask === undefined ? container : containers.get(networkTask);
  if (networkMode !== "none" && owner?.address !== undefined) return owner.address;
  throw new OrchdError("conflict", "the task has no network: none of its ports can be reached");
}
