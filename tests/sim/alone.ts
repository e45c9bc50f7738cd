import type { Random } from "../../src/lib/random.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import { happens } from "./chance.ts";
import type { Place } from "./cluster.ts";

/** A slot of a machine that is to be kept there by its agent alone. */
export interface KeptSlot {
  place: Place;
  assignment: Assignment;
}

/** Slots whose program runs on and on, and is started again whenever it ends. */
export function slotsAtWork(place: Place): KeptSlot[] {
  return (place.disk.set?.assignments ?? []).flatMap((assignment) => {
    const { restart, desired, container, taskId } = assignment;
    const isKept = restart?.condition === "any" && restart.maxAttempts === undefined;
    const isSteady = container.image.startsWith("steady:");
    const isRunning = place.machine.containers.get(taskId)?.state === "running";
    return isKept && isSteady && isRunning && desired === "running" ? [{ place, assignment }] : [];
  });
}

/** Ends some of what runs, in whatever way programs end. */
export function crashSome(random: Random, places: readonly Place[]): void {
  for (const { machine } of places) {
    for (const container of machine.containers.values()) {
      if (happens(random, 0.4)) machine.exit(container, happens(random, 0.5) ? 137 : 0);
    }
  }
}

/**
 * Whether the slot has a task that runs, whichever one it is by now, or waits after its agent has
 * ended one for its health, as it may again and again.
 */
export function isAtWork({ place, assignment: { serviceId, slot } }: KeptSlot): boolean {
  const { machine, disk } = place;
  return (disk.set?.assignments ?? []).some((one) => {
    if (one.serviceId !== serviceId || one.slot !== slot) return false;
    const container = machine.containers.get(one.taskId);
    return container?.state === "running" || container?.wasFoundSick === true;
  });
}

export function formatGone({ place, assignment }: KeptSlot): string {
  const { stack, service, slot } = assignment;
  return `nothing runs in slot ${stack}/${service}.${slot} of ${place.node.hostname} any more`;
}
