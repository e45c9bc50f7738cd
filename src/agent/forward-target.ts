import { OrchdError } from "../lib/errors.ts";
import type { Assignment } from "../model/assignment.ts";
import type { ContainerStatus } from "../runtime/driver.ts";

/**
 * The address at which this machine reaches a task's ports.
 * @throws OrchdError `conflict` when the task does not run, or has no network
 */
export function forwardTarget(
  assignment: Assignment | undefined,
  container: ContainerStatus | undefined,
): string {
  if (assignment === undefined || container?.state !== "running") {
    throw new OrchdError("conflict", "the task does not run on its node: see `orchd explain`");
  }
  const { networkMode } = assignment.container;
  if (networkMode === "host") return "127.0.0.1";
  if (networkMode === "bridge" && container.address !== undefined) return container.address;
  throw new OrchdError("conflict", "the task has no network: none of its ports can be reached");
}
