import { OrchdError } from "../../lib/errors.ts";
import { containerNameOf } from "../../model/assignment.ts";
import type { NodeId } from "../../model/ids.ts";
import { LABELS, type CreateOptions } from "../driver.ts";
import { statusOf, type Inspected } from "./container-status.ts";

/**
 * What to do with the container that has the name of one to be made: an earlier try of ours is
 * adopted, unless it never ran and was made for another address.
 * @throws OrchdError `conflict` for one of somebody else
 */
export function judgeTakenName(
  found: Inspected,
  { assignment, address, networkTask }: CreateOptions,
  nodeId: NodeId,
): "adopt" | "remake" {
  const labels = found.Config.Labels ?? {};
  if (labels[LABELS.owner] !== nodeId || labels[LABELS.task] !== assignment.taskId) {
    throw new OrchdError(
      "conflict",
      `a container named ${containerNameOf(assignment)} that orchd did not make is in the way; ` +
        "remove or rename it",
    );
  }
  const isUnused = statusOf(found)?.state === "created";
  const isAsWanted =
    labels[LABELS.address] === address && labels[LABELS.networkTask] === networkTask;
  return isUnused && !isAsWanted ? "remake" : "adopt";
}
