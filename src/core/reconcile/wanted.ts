import { compareText } from "../../lib/order.ts";
import { unmetConstraint } from "../../model/constraint.ts";
import { homeOf } from "../../model/home.ts";
import { acceptsTasks } from "../../model/node.ts";
import { specOf, type Service } from "../../model/service.ts";
import type { View } from "../../model/view.ts";

/** `1` to `replicas`, or the fitting nodes of a global service. */
export function wantedSlots(view: View, service: Service): string[] {
  const spec = specOf(service);
  if (spec.mode === "replicated") {
    return Array.from({ length: spec.replicas }, (_, i) => String(i + 1));
  }
  const holds = new Set(view.tasksOf(service.id).map((task) => task.slot));
  const nodes = [...view.nodes.values()].filter((node) => {
    if (!node.roles.agent || node.availability === "drain") return false;
    if (unmetConstraint(node, spec.placement.constraints) !== undefined) return false;
    // A node that is paused or away keeps the task that it has, but gets no first one.
    return holds.has(node.id) || acceptsTasks(node);
  });
  return nodes.map((node) => node.id).sort(compareText);
}

/** The wanted slots, but for those of a global service on nodes that are down. */
export function slotsInReach(view: View, service: Service): string[] {
  const wanted = wantedSlots(view, service);
  if (specOf(service).mode !== "global") return wanted;
  return wanted.filter((slot) => homeOf(view, service, slot)?.health !== "down");
}
