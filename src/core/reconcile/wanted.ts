import { compareText } from "../../lib/order.ts";
import { unmetConstraint } from "../../model/constraint.ts";
import { homeOf } from "../../model/home.ts";
import { acceptsTasks } from "../../model/node.ts";
import { isGlobal, isJob, replicasOf, specOf, type Service } from "../../model/service.ts";
import { slotOfRun } from "../../model/slot-name.ts";
import type { View } from "../../model/view.ts";

/**
 * `1` to `replicas`, or the fitting nodes of a global service.
 * @param run of a scheduled job: the slots of that run
 */
export function wantedSlots(view: View, service: Service, run?: number): string[] {
  const spec = specOf(service);
  const nameOf = (base: string) => (run === undefined ? base : slotOfRun(base, run));
  if (!isGlobal(spec)) {
    return Array.from({ length: isJob(spec) ? spec.replicas : replicasOf(service) }, (_, i) =>
      nameOf(String(i + 1)),
    );
  }
  const holds = new Set(view.tasksOf(service.id).map((task) => task.slot));
  const nodes = [...view.nodes.values()].filter((node) => {
    if (!node.roles.agent || node.availability === "drain") return false;
    if (unmetConstraint(node, spec.placement.constraints) !== undefined) return false;
    // A node that is paused or away keeps the task that it has, but gets no first one.
    return holds.has(nameOf(node.id)) || acceptsTasks(node);
  });
  return nodes.map((node) => nameOf(node.id)).sort(compareText);
}

/** The wanted slots, but for those of a global service on nodes that are down. */
export function slotsInReach(view: View, service: Service, run?: number): string[] {
  const wanted = wantedSlots(view, service, run);
  if (!isGlobal(specOf(service))) return wanted;
  return wanted.filter((slot) => homeOf(view, service, slot)?.health !== "down");
}
