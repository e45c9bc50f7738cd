import { formatConstraint, unmetConstraint } from "../../model/constraint.ts";
import { isGlobal, specOf, type Service } from "../../model/service.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/**
 * Why a live task is to leave its node: it was told to, the node is drained, or it is no longer one
 * that the service may run on. A global service's tasks go with their slot instead.
 */
export function reasonToLeave(view: View, service: Service, task: Task): string | undefined {
  const { mode, placement } = specOf(service);
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  if (node === undefined || isGlobal({ mode })) return undefined;
  if (task.leave !== undefined) return task.leave;
  if (node.availability === "drain") return `node ${node.hostname} is drained`;
  const unmet = unmetConstraint(node, placement.constraints);
  if (unmet === undefined) return undefined;
  return `node ${node.hostname} does not meet ${formatConstraint(unmet)}`;
}
