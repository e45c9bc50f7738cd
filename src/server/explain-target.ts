import type { Target } from "../api/read/target.ts";
import type { NodeId, ServiceId } from "../model/ids.ts";
import type { Explanation } from "../model/summary.ts";
import type { View } from "../model/view.ts";
import { explainNode } from "./explain-node.ts";
import { explainService, explainTask } from "./explain.ts";

/** Why a task, service or node is in the state that it is in. */
export function explainTarget(
  view: View,
  target: Exclude<Target, { kind: "stack" }>,
  now: number,
  reasons: { autoscaling(id: ServiceId): string; health(id: NodeId): string },
): Explanation {
  switch (target.kind) {
    case "task":
      return explainTask(view, target.task, now);
    case "service": {
      const autoscaling = reasons.autoscaling(target.service.id);
      return explainService(view, target.service, now, { autoscaling });
    }
    case "node":
      return explainNode(view, target.node, reasons.health(target.node.id), now);
  }
}
