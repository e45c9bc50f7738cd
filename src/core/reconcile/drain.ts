import type { UpdatePolicy } from "../../model/rollout.ts";
import { policyInForce, specOf, type Service } from "../../model/service.ts";
import type { Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { isOfSlot } from "./held.ts";
import type { Slot } from "./slot.ts";

/** When a task has to be off its node even if nothing took its place, in ms since 1970. */
export function drainDeadlineOf(view: View, task: Task): number | undefined {
  return isDrained(view, task) ? nodeOf(view, task)?.drainBy : undefined;
}

/**
 * How a task makes way for its successor: by the rules for drained nodes where nothing else is
 * wrong with it, since a new revision may not get on beside an old one.
 */
export function paceOf(view: View, service: Service, slot: Slot, task: Task): Pace {
  const { order, parallelism } = policyInForce(service);
  const isAsWanted = isDrained(view, task) && isOfSlot(service, slot.held, task);
  const asked = isAsWanted ? specOf(service).drain : undefined;
  return { order: asked?.order ?? order, parallelism: asked?.parallelism ?? parallelism };
}

type Pace = Pick<UpdatePolicy, "order" | "parallelism">;

/**
 * Of how many slots that can't go on elsewhere the tasks may be away at once, as the service asks
 * for where nodes are drained; undefined where they leave at once.
 */
export function awayAtOnce(view: View, service: Service, task: Task): number | undefined {
  const parallelism = specOf(service).drain?.parallelism ?? 0;
  return parallelism > 0 && isDrained(view, task) ? parallelism : undefined;
}

function isDrained(view: View, task: Task): boolean {
  return nodeOf(view, task)?.availability === "drain";
}

function nodeOf(view: View, { nodeId }: Task) {
  return nodeId === undefined ? undefined : view.nodes.get(nodeId);
}
