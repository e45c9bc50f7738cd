import { describeChange } from "../../core/reconcile/describe.ts";
import { isDeferred, isThere } from "../../core/reconcile/rollout.ts";
import { slotsInOrder } from "../../core/reconcile/service.ts";
import { equalJson } from "../../lib/order.ts";
import type { NodeId } from "../../model/ids.ts";
import { currentRevision, type Service } from "../../model/service.ts";
import type { Stack } from "../../model/stack.ts";
import type { AppliedSetSummary, RevisionSummary, RolloutSummary } from "../../model/summary.ts";
import { isTerminal } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** How far a service's rollout is. */
export function rolloutSummary(view: View, service: Service): RolloutSummary {
  const { stack, name, rollout } = service;
  const slots = slotsInOrder(view, service);
  const named = (names: readonly string[] = []) => names.map((slot) => nameOf(view, slot));
  const those = (test: (slot: (typeof slots)[number]) => boolean) =>
    named(slots.filter(test).map(({ slot }) => slot));
  return {
    stack,
    name,
    state: rollout?.state ?? "none",
    revision: currentRevision(service).revision,
    ...(rollout === undefined ? {} : timesOf(rollout)),
    slots: slots.length,
    done: slots.filter((slot) => isThere(view, service, slot)).length,
    failed: named(rollout?.failed),
    deferred: those((slot) => isDeferred(view, service, slot)),
    held: those((slot) => slot.held !== undefined),
    canaries: named(rollout?.canaries),
    message: rollout?.message ?? "",
  };
}

function timesOf(rollout: NonNullable<Service["rollout"]>) {
  const { from, to, startedAt, finishedAt } = rollout;
  return { from, to, startedAt, ...(finishedAt === undefined ? {} : { finishedAt }) };
}

/** A global service's slot is told by its node's host name. */
function nameOf(view: View, slot: string): string {
  return view.nodes.get(slot as NodeId)?.hostname ?? slot;
}

/** The revisions that are kept, the newest first. */
export function revisionSummaries(view: View, service: Service): RevisionSummary[] {
  const tasks = view.tasksOf(service.id).filter((task) => !isTerminal(task.state));
  return service.revisions.map(({ revision, at, spec, pins = {} }, i) => {
    const before = service.revisions[i + 1]?.spec;
    return {
      revision,
      at,
      image: spec.container.image,
      pins: Object.fromEntries(Object.entries(pins).map(([of, { digest }]) => [of, digest])),
      current: i === 0,
      tasks: tasks.filter((task) => task.revision === revision).length,
      change: before === undefined ? "" : describeChange(before, spec),
    };
  });
}

/** What a stack was made to be, the newest first. */
export function appliedSetSummaries(view: View, stack: Stack): AppliedSetSummary[] {
  return (stack.sets ?? []).map((set) => ({
    ...set,
    current: isAsSet(view, stack, set.revisions),
  }));
}

function isAsSet(view: View, stack: Stack, revisions: Record<string, number>): boolean {
  return Object.entries(revisions).every(([name, wanted]) => {
    const service = view.serviceNamed(stack.name, name);
    const then = service?.revisions.find(({ revision }) => revision === wanted);
    return service !== undefined && equalJson(then?.spec, currentRevision(service).spec);
  });
}
